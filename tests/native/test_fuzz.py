"""Damaged files are read under valgrind and the address and undefined-behaviour sanitizers.

``python -m tests.native.fuzzing MINUTES`` fuzzes for a chosen time.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rnvp_deploy import RNVPConfig
from rnvp_deploy.scales import Centred
from rnvp_exporters.native import flow_bin
from tests.flows import lively

HERE = Path(__file__).parent
ENGINE = HERE.parents[1] / "runtime" / "c" / "rnvp.c"
SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def write_seeds(folder: Path) -> list[Path]:
    """Small flows that together have every kind of record."""
    gated = RNVPConfig(dim=3, context_dim=2, residual=True, hidden=(5, 5), couplings=2)
    linear = RNVPConfig(dim=4, mixing="lu", actnorm=True, hidden=(4,), couplings=2)
    centred = RNVPConfig(dim=5, scale=Centred(), activation="silu", hidden=(3,), couplings=2)
    paths = []
    for name, config in {"gated": gated, "linear": linear, "centred": centred}.items():
        for dtype in ("float32", "float64"):
            path = folder / f"{name}-{dtype}.bin"
            path.write_bytes(flow_bin(lively(config), dtype))
            paths.append(path)
    return paths


@pytest.fixture(scope="module")
def fuzzer(compile_c: Callable[..., Path]) -> Path:
    """The mutation fuzzer, compiled with sanitizers."""
    return compile_c("fuzz", *SANITIZE, HERE / "fuzz.c", ENGINE)


@pytest.mark.slow
def test_damaged_files_are_refused_or_run(fuzzer: Path, tmp_path: Path) -> None:
    """No damaged file causes an invalid read or write, undefined behaviour or a leak."""
    done = subprocess.run(
        [fuzzer, "7", "3000", *write_seeds(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.split()[3]) > 100  # a change may be in a part that is not checked


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_no_result_depends_on_memory_that_was_not_written(
    compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """Valgrind finds a branch on an uninitialised number, which the sanitizers do not."""
    program = compile_c("unsanitized", "-g", "-O1", HERE / "fuzz.c", ENGINE)
    command = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", str(program), "7", "5"]
    done = subprocess.run(
        [*command, *write_seeds(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
