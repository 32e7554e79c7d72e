"""Commands that tell errors in one line, as every command of the distribution does."""

from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from rnvp_runtime import BundleError
from rnvp_runtime.one_line import OneLineCommand, OneLineGroup


def run(error: BaseException, group: bool = False) -> Result:
    def fail() -> None:
        raise error

    if not group:
        return CliRunner().invoke(OneLineCommand("c", callback=fail), [])
    return CliRunner().invoke(OneLineGroup("g", [click.Command("c", callback=fail)]), ["c"])


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BundleError("found a, expected b"), 1, "Error: found a, expected b\n"),
        (BundleError("two\nlines"), 1, "Error: two lines\n"),
        (PermissionError(13, "Permission denied", "s.npy"), 1, "Error: Permission denied: s.npy\n"),
        (OSError(28, "No space left on device"), 1, "Error: No space left on device\n"),
        (MemoryError(), 1, "Error: not enough memory\n"),
        (
            ModuleNotFoundError("No module", name="torch._C"),
            1,
            'Error: torch is not installed: pip install "rnvp-deploy[export]"\n',
        ),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_errors_a_user_can_mend_are_one_line(error: Any, code: int, said: str, group: bool) -> None:
    """The text on stderr, and the exit code."""
    result = run(error, group)
    assert (result.exit_code, result.stderr, result.stdout) == (code, said, "")


@pytest.mark.parametrize(
    "error", [KeyError("k"), ModuleNotFoundError("no", name="rnvp_runtime.laod")]
)
def test_defects_keep_their_traceback(error: Exception) -> None:
    """What a user cannot mend is not dressed up."""
    assert run(error).exception is error
