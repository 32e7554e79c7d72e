"""Compile the C engine: ``python runtime/c/compile.py [OUTPUT]``.

By default the library is written beside the Python module that loads it, as an editable
installation needs it. The compiler is ``CC``, else the first of cc, gcc, clang, or the clang that
the Python package ziglang carries. The module needs nothing but the standard library: the build of
the wheel runs it.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
LIBRARY = SOURCES.parent / "rnvp_runtime" / "native" / f"librnvp{SUFFIX}"
FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-shared"]


class CompileError(Exception):
    """There is no compiler, or it failed; the text says which."""


def find_compiler() -> list[str]:
    """The command that compiles C.

    Raises:
        CompileError: there is none.
    """
    if chosen := os.environ.get("CC"):
        return shlex.split(chosen)
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            return [path]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise CompileError("there is no C compiler: set CC, or install gcc, clang or ziglang")


def compile_library(output: Path = LIBRARY, flags: tuple[str, ...] = ()) -> Path:
    """Compile the library to ``output``, which is replaced only if that succeeds.

    Raises:
        CompileError: there is no compiler, or it failed.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = output.with_name(f"{output.stem}.{os.getpid()}{output.suffix}")
    position_independent = [] if sys.platform == "win32" else ["-fPIC"]
    command = [*find_compiler(), *FLAGS, *position_independent, *flags]
    command += ["-o", str(scratch), str(SOURCES / "rnvp.c")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it printed nothing"])[0]
            raise CompileError(f"{command[0]} failed with code {done.returncode}: {reason}")
        os.replace(scratch, output)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError(f"{command[0]} could not be run: {error}") from None
    finally:
        scratch.unlink(missing_ok=True)
    return output


if __name__ == "__main__":
    try:
        print(compile_library(*map(Path, sys.argv[1:2])))
    except CompileError as reason:
        sys.exit(f"compile.py: {reason}")
