"""``rnvp`` has the commands as subcommands."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rnvp_runtime.commands.umbrella import GROUPS, rnvp

COMMANDS = [command for commands in GROUPS.values() for command in commands]
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_every_command_is_a_subcommand() -> None:
    """``rnvp train`` and ``rnvp-train`` run the same function."""
    scripts = tomllib.loads(PYPROJECT.read_text())["project"]["scripts"]
    own = scripts.pop("rnvp")
    assert own == "rnvp_runtime.commands.umbrella:rnvp"
    assert scripts == {f"rnvp-{command.name}": command.target for command in COMMANDS}


def test_help_is_in_groups_with_a_sentence_for_each_command() -> None:
    """The groups are in the order of use."""
    told = CliRunner().invoke(rnvp, ["--help"]).stdout
    positions = [told.index(f"{heading}:") for heading in GROUPS]
    assert positions == sorted(positions)
    for command in COMMANDS:
        assert f"  {command.name} " in told
        assert command.help.endswith(".")


def test_help_imports_no_command() -> None:
    """The help starts fast, since it imports no command and no numpy."""
    code = (
        "import sys; from click.testing import CliRunner\n"
        "from rnvp_runtime.commands.umbrella import rnvp\n"
        "assert CliRunner().invoke(rnvp, ['--help']).exit_code == 0\n"
        "heavy = {'numpy', 'torch', 'onnxruntime', 'rnvp_deploy', 'rnvp_exporters'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_subcommand_is_the_command(bundle: Path) -> None:
    """Both have the same output, the same one-line errors and the same exit codes."""
    drawn = CliRunner().invoke(rnvp, ["sample", str(bundle), "-n", "2", "--seed", "7"])
    assert (drawn.exit_code, drawn.stdout.count("\n")) == (0, 3)
    same = CliRunner().invoke(rnvp, ["rnvp-sample", str(bundle), "-n", "2", "--seed", "7"])
    assert same.stdout == drawn.stdout
    refused = CliRunner().invoke(rnvp, ["inspect", "none.rnvp"])
    assert (refused.exit_code, refused.stderr.startswith("Error: none.rnvp does not")) == (1, True)
    assert CliRunner().invoke(rnvp, ["smaple"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("rnvp in", ["inspect"]),
        ("rnvp s", ["sample", "score"]),
        ("rnvp sample --thr", ["--threads"]),
    ],
)
def test_names_and_options_are_completed(words: str, expected: Any) -> None:
    """The shell completes the names of subcommands and their options."""
    environment = {
        "_RNVP_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = CliRunner().invoke(
        rnvp, [], env=environment, prog_name="rnvp", complete_var="_RNVP_COMPLETE"
    )
    offered = [line.partition(",")[2] for line in result.stdout.splitlines()]
    assert [name for name in offered if name in expected] == expected
