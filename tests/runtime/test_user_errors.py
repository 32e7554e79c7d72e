"""Every command reports a user's error in one line."""

from errno import EDQUOT, EIO, ENOSPC
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rnvp_runtime import BundleError
from rnvp_runtime.terminal.user_errors import UserErrorCommand


def run(error: BaseException) -> Result:
    """Run a command that raises ``error``."""

    def fail() -> None:
        raise error

    return CliRunner().invoke(UserErrorCommand("c", callback=fail), [])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BundleError("found a, expected b"), 1, "Error: found a, expected b\n"),
        (BundleError("two\nlines"), 1, "Error: two lines\n"),
        (PermissionError(13, "Permission denied", "s.npy"), 1, "Error: Permission denied: s.npy\n"),
        (OSError(28, "No space left on device"), 1, "Error: No space left on device\n"),
        (OSError(ENOSPC, "It is full", "in", None, "out"), 1, "Error: It is full: out\n"),
        (OSError(EDQUOT, "It is full", "in", None, "out"), 1, "Error: It is full: out\n"),
        (OSError(EIO, "It is damaged", "in", None, "out"), 1, "Error: It is damaged: in to out\n"),
        (MemoryError(), 1, "Error: not enough memory\n"),
        (
            ModuleNotFoundError("No module", name="torch._C"),
            1,
            'Error: torch is not installed: pip install "rnvp-deploy[export]"\n',
        ),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_errors_that_a_user_can_correct_are_one_line(error: Any, code: int, said: str) -> None:
    """The command prints one line on stderr and returns the exit code."""
    result = run(error)
    assert (result.exit_code, result.stderr, result.stdout) == (code, said, "")


@pytest.mark.parametrize(
    "error", [KeyError("k"), ModuleNotFoundError("no", name="rnvp_runtime.laod")]
)
def test_defects_keep_their_traceback(error: Exception) -> None:
    """An error that the user cannot correct is shown as Python shows it."""
    assert run(error).exception is error
