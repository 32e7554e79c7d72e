"""Damaged files under the address and undefined-behaviour sanitizers, and valgrind.

``python -m tests.native.fuzzing MINUTES`` goes on for as long as it is told to.
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
SANITIZE = (
    "-g",
    "-O1",
    "-DRNVP_NO_AVX512",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)


def write_seeds(folder: Path) -> list[Path]:
    """Small flows that have every kind of record between them."""
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
    """The mutation fuzzer, sanitized."""
    return compile_c("fuzz", *SANITIZE, HERE / "fuzz.c", ENGINE)


@pytest.mark.slow
def test_damaged_files_are_refused_or_run(fuzzer: Path, tmp_path: Path) -> None:
    """No read or write outside memory, no undefined behaviour, no leak."""
    done = subprocess.run(
        [fuzzer, "7", "3000", *write_seeds(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.split()[3]) > 100  # what is changed is not always what is checked


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_no_result_depends_on_memory_that_was_not_written(
    compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """Valgrind sees what the sanitizers do not: a branch on an uninitialised number."""
    program = compile_c("unsanitized", "-g", "-O1", "-DRNVP_NO_AVX512", HERE / "fuzz.c", ENGINE)
    command = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", program, "7", "2"]
    done = subprocess.run(
        [*command, *write_seeds(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
