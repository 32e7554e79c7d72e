"""Fixtures that compile the C engine if it is missing."""

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from rnvp_runtime.native.library import LIBRARY, TARGETS, NativeFlow

SOURCES = Path(__file__).parents[2] / "runtime" / "c"
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def compiling() -> ModuleType:
    """Import ``runtime/c/compile.py``, which is not in a package."""
    spec = importlib.util.spec_from_file_location("rnvp_compile", SOURCES / "compile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def library() -> None:
    """Compile the library if it is missing."""
    if not LIBRARY.exists():
        module = compiling()
        try:
            module.compile_library()
        except module.CompileError as reason:
            pytest.skip(str(reason))


@pytest.fixture(scope="session")
def targets(library: None, tiny: bytes) -> list[str]:
    """The instruction sets that this machine has."""
    found = []
    for target in TARGETS:
        try:
            NativeFlow(tiny, target=target)
        except Exception:
            continue
        found.append(target)
    return found


@pytest.fixture(scope="session")
def tiny() -> bytes:
    """The flow.bin of a flow of two coordinates with every kind of step but a linear."""
    from rnvp_deploy import RNVPConfig
    from rnvp_exporters.native import flow_bin
    from tests.flows import lively

    config = RNVPConfig(dim=2, context_dim=1, residual=True, hidden=(4, 4), couplings=2)
    return flow_bin(lively(config))


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile C sources with every warning an error; returns the program."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("compiled")

    def compiled(name: str, *arguments: str | Path, command: str = compiler) -> Path:
        made = folder / name
        flags = [*STRICT, "-I", str(SOURCES), *map(str, arguments), "-o", str(made)]
        subprocess.run([command, *flags, "-lm"], check=True)
        return made

    return compiled
