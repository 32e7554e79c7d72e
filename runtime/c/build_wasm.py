"""``python runtime/c/build_wasm.py [OUTPUT]``: compile the engine to ``native.wasm``.

The file is committed, so that nobody who installs the npm package needs a compiler. It is the same
byte for byte wherever this version of ziglang builds it, and a test holds it to that.
"""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ZIGLANG = "0.17.1"
SOURCES = Path(__file__).resolve().parent
OUTPUT = SOURCES.parent / "js" / "src" / "native.wasm"
EXPORTS = [
    "rnvp_measure",
    "rnvp_build",
    "rnvp_workspace_size",
    "rnvp_dim",
    "rnvp_context_dim",
    "rnvp_dtype",
    "rnvp_forward",
    "rnvp_inverse",
    "rnvp_sample",
    "rnvp_gradient",
    "rnvp_stream_words",
    "__heap_base",
]
FLAGS = ["-target", "wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-Os", "-std=c11"]
FLAGS += ["-DRNVP_FREESTANDING", "-Wl,--no-entry", "-Wl,--strip-all"]


def build(output: Path = OUTPUT) -> Path:
    """Compile; the memory grows from ``__heap_base`` on as the JavaScript asks for it."""
    exported = [f"-Wl,--export={name}" for name in EXPORTS]
    zig = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *exported]
    # A relative path: the compiler may write into the file how the source was named.
    subprocess.run([*zig, "-o", str(output.resolve()), "rnvp.c"], cwd=SOURCES, check=True)
    return output


if __name__ == "__main__":
    try:
        found = version("ziglang")
    except PackageNotFoundError:
        sys.exit(f"build_wasm.py: pip install ziglang=={ZIGLANG}")
    if found != ZIGLANG:
        sys.exit(f"build_wasm.py: this is ziglang {found}: pip install ziglang=={ZIGLANG}")
    print(build(*map(Path, sys.argv[1:2])))
