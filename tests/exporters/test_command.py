"""``rnvp-export`` on the command line: its output, its files and its errors."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import rnvp_deploy
from rnvp_exporters.commands.export import export
from rnvp_runtime.native import is_available
from tests.flows import CONFIGS, lively


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint in it."""
    made = tmp_path_factory.mktemp("command")
    rnvp_deploy.save(lively(CONFIGS["two coordinates"]).float(), made / "model.pt")
    return made


def run(*arguments: object) -> Result:
    """Run the command with these arguments."""
    return CliRunner().invoke(export, [str(argument) for argument in arguments])


def test_it_prints_each_outputs_parity_the_sizes_and_what_to_do_next(folder: Path) -> None:
    """It prints one line for each output of each graph and format, then files, then commands."""
    result = run(folder / "model.pt")
    assert result.exit_code == 0, result.output
    # Each output in each format, and the flow in its dtype.
    assert result.output.count("passed") == 2 * 4 * (2 + is_available()) + 1
    assert result.output.count("flow.bin") == 1
    assert "sampler.onnx" in result.output
    assert "KiB" in result.output
    assert f"rnvp-sample {folder / 'model.rnvp'} -n 1000 --seed 7" in result.output
    again = run(folder / "model.pt")
    assert (again.exit_code, again.output.count("\n")) == (1, 1)
    assert "exists: pass --force to replace it" in again.output


def test_json_is_the_manifest_and_nothing_else(folder: Path) -> None:
    """A script can parse the output, also when the export writes a folder of C."""
    result = run(folder / "model.pt", "-o", folder / "j.rnvp", "--format", "c", "--json")
    assert json.loads(result.stdout) == json.loads((folder / "j.rnvp/manifest.json").read_text())
    assert {"rnvp.h", "rnvp.c", "flow.c", "example.c"} <= {
        path.name for path in (folder / "j_c").iterdir()
    }


def test_an_existing_folder_of_c_is_kept(folder: Path) -> None:
    """The command refuses an existing folder of C before it exports anything, also with --force."""
    (folder / "kept_c").mkdir()
    (folder / "kept_c" / "mine.c").touch()
    for force in ((), ("--force",)):
        result = run(folder / "model.pt", "-o", folder / "kept.rnvp", "--format", "c", *force)
        assert (result.exit_code, result.output.count("\n")) == (1, 1)
        assert "kept_c is there already" in result.output
    assert not (folder / "kept.rnvp").exists()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("missing.pt", None, "there is no checkpoint at"),
        ("text.pt", b"hello", "is not a PyTorch checkpoint"),
    ],
)
def test_a_file_that_is_not_a_checkpoint_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, complaint: str
) -> None:
    """The exit code is 1, the error is one line, and nothing is written."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    result = run(tmp_path / name)
    assert result.exit_code == 1
    assert complaint in result.output
    assert result.output.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_factory_of_the_users_is_converted_and_exported_at_once(tmp_path: Path) -> None:
    """rnvp-export accepts mymodule.py:make_flow as rnvp-import does."""
    (tmp_path / "mine.py").write_text(
        "import zuko, torch\n"
        "def make_flow():\n"
        "    torch.manual_seed(0)\n"
        "    return zuko.flows.RealNVP(2, transforms=2, hidden_features=(8,)).eval()\n"
    )
    pytest.importorskip("zuko")
    result = run(f"{tmp_path / 'mine.py'}:make_flow", "-o", tmp_path / "m.rnvp", "--format", "onnx")
    assert result.exit_code == 0, result.output
    assert "your code" in result.output
    assert (tmp_path / "m.rnvp" / "manifest.json").is_file()


def test_weights_without_a_factory_are_a_usage_error(folder: Path) -> None:
    """--weights without a factory gives exit code 2, as any wrong option does."""
    result = run(folder / "model.pt", "--weights", "x.pt")
    assert result.exit_code == 2
    assert "--weights goes with mymodule.py:make_flow" in result.output


def test_help_shows_an_example() -> None:
    """--help shows a command that a new user can type first."""
    assert "rnvp-export model.pt" in run("--help").output
