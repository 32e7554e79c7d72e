"""The elementary functions of the C engine keep their stated errors, in ULP.

``python -m tests.native.ulp`` measures all 2³² float32 numbers; docs/native.md holds its result.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent

STATED = {
    "exp": 1.0,
    "expm1": 1.2,
    "tanh": 2.6,
    "sigmoid": 2.5,
    "log1p": 1.5,
    "log": 1.0,
    "softplus": 2.2,
    "sin": 2.5,
    "cos": 2.5,
    "turns": 2.0,
    "atan": 2.0,
    "erf": 2.3,
}
"""The largest error of each, in units in the last place of the result."""


@pytest.fixture(scope="session")
def program(compile_c: Callable[..., Path]) -> Path:
    """The program that measures the errors of the functions."""
    return compile_c("elementary", "-O2", "-DRNVP_ELEMENTARY", HERE / "elementary.c")


def error(program: Path, function: str, target: str, bits: int, stride: int) -> float:
    """The largest error found, in ULP."""
    command = [str(program), function, target, str(bits), str(stride)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(said.split()[3])


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("function", STATED)
def test_a_function_keeps_its_error(
    program: Path, targets: list[str], function: str, bits: int
) -> None:
    """The error is measured over float32 numbers of every size and random float64 numbers."""
    for target in targets:
        if target != "best":
            assert error(program, function, target, bits, 65_537) <= STATED[function], target


@pytest.mark.slow
@pytest.mark.parametrize("function", STATED)
def test_a_function_keeps_its_error_over_many(
    program: Path, targets: list[str], function: str
) -> None:
    """The error is measured over one in 257 of all float32 numbers."""
    assert error(program, function, targets[-1], 32, 257) <= STATED[function]
