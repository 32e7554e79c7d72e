"""No command or function replaces a file that the user may want to keep."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rnvp_runtime import OutputError
from rnvp_runtime.outputs import FileKind, check_output


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".npy", ".npz", ".PT", ".onnx"])
@pytest.mark.parametrize("force", [True, False])
def test_a_suffix_belongs_to_one_kind(suffix: str, force: bool, tmp_path: Path) -> None:
    """Only outputs of that kind may have it."""
    kind = {".PT": "checkpoint", ".onnx": ""}.get(suffix, "table")
    for wanted in ("checkpoint", "bundle", "table"):
        output = tmp_path / f"file{suffix}"
        if wanted == kind:
            check_output(output, wanted, force=force)
        else:
            with pytest.raises(OutputError, match=f"but a {wanted} is written"):
                check_output(output, wanted, force=force)


@pytest.mark.parametrize("name", ["model", "model.v2", "model.bin"])
def test_other_names_are_free(name: str, tmp_path: Path) -> None:
    """A name without a suffix or with an unknown one suits every kind of output."""
    check_output(tmp_path / name, "checkpoint")
    check_output(tmp_path / name, "bundle")


@pytest.mark.parametrize("kind", ["checkpoint", "bundle", "table", "web page"])
@pytest.mark.parametrize("output", ["-", Path("-")])
def test_standard_output_is_not_a_file(output: str | Path, kind: FileKind) -> None:
    """``-`` is refused with an example of a name, also with force."""
    with pytest.raises(OutputError, match=f"a {kind} cannot be written to standard output"):
        check_output(output, kind, force=True)


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_an_input_is_never_replaced(link: Callable[[Path, Path], None], tmp_path: Path) -> None:
    """The output may not be the input, another spelling of its path, or a link to it."""
    source, alias = tmp_path / "a.pt", tmp_path / "b.pt"
    source.write_text("weights")
    link(source, alias)
    for output in (source, alias, tmp_path / "." / ".." / tmp_path.name / "a.pt"):
        with pytest.raises(OutputError, match="is also an input"):
            check_output(output, "checkpoint", inputs=[tmp_path / "absent", source], force=True)


def test_a_folder_that_holds_an_input_is_never_replaced(tmp_path: Path) -> None:
    """A bundle written there would replace the folder and the checkpoint in it."""
    folder = tmp_path / "run.rnvp"
    folder.mkdir()
    (folder / "model.pt").write_text("weights")
    with pytest.raises(OutputError, match="is also an input"):
        check_output(folder, "bundle", inputs=[folder / "model.pt"], force=True)
    with pytest.raises(OutputError, match=r"lies in .* which is an input"):
        check_output(folder / "samples.csv", "table", inputs=[folder])


def test_an_existing_output_needs_force(tmp_path: Path) -> None:
    """The output is a file, or a folder for a bundle."""
    (tmp_path / "model.pt").touch()
    (tmp_path / "model.rnvp").mkdir()
    for name, kind in (("model.pt", "checkpoint"), ("model.rnvp", "bundle")):
        with pytest.raises(OutputError, match=f"{name} exists: pass --force"):
            check_output(tmp_path / name, kind)  # type: ignore[arg-type]
        check_output(tmp_path / name, kind, force=True)  # type: ignore[arg-type]


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """It is refused with force too."""
    with pytest.raises(OutputError, match="it is a folder"):
        check_output(tmp_path, "checkpoint", force=True)


def test_the_folder_must_exist(tmp_path: Path) -> None:
    """A missing folder is not made, since its name may be misspelt."""
    with pytest.raises(OutputError, match="does not exist"):
        check_output(tmp_path / "absent" / "model.pt", "checkpoint")


def test_a_pattern_names_inputs(tmp_path: Path) -> None:
    """A file that the pattern of the input matches is an input."""
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    with pytest.raises(OutputError, match="is also an input"):
        check_output(tmp_path / "b.csv", "table", inputs=[tmp_path / "*.csv"], force=True)


@pytest.mark.parametrize("name", ["model.rnvp.zip", "model.pt.gz", "site.csv", "index.html"])
def test_a_page_is_a_folder(name: str, tmp_path: Path) -> None:
    """Its name may not have the suffix of a file, compressed or not."""
    with pytest.raises(OutputError, match="but a web page is written: name it like site"):
        check_output(tmp_path / name, "web page", force=True)
    check_output(tmp_path / "site", "web page")
