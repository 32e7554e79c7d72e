"""A bundle's file that is not a regular file of its size is refused, without waiting for it."""

import os
import socket
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rnvp_runtime
from rnvp_runtime import BundleError
from rnvp_runtime.bundle.verification import verify

Make = Callable[..., Path]
X = np.zeros((3, 2))
FILES = ["density.onnx", "manifest.json"]


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket may have at most 108 bytes
        server.bind(path.name)
        os.chdir(here)


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _symlink(path: Path) -> None:
    path.rename(path.with_suffix(".kept"))
    path.symlink_to(path.with_suffix(".kept"))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _sparse(path: Path) -> None:
    os.truncate(path, 2**31)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("harm", [_fifo, _socket, _device, _symlink, _folder, _sparse])
def test_what_is_no_regular_file_is_refused(
    make_bundle: Make, file: str, harm: Callable[[Path], None]
) -> None:
    """load and verify both refuse it, each in one line."""
    path = make_bundle()
    harm(path / file)
    with pytest.raises(BundleError, match=file.replace(".", r"\.")) as error:
        rnvp_runtime.load(path).log_prob(X)
    assert "\n" not in str(error.value)
    if file != "manifest.json":
        assert any(check.name == file and not check.passed for check in verify(path))


@pytest.mark.skipif(not hasattr(os, "link"), reason="this system has no hard links")
def test_hard_links_are_files(make_bundle: Make, tmp_path: Path) -> None:
    """Package managers install files as hard links, so a hard link is read as any other file.

    If the file is changed later under its other name, the hash shows it.
    """
    path = make_bundle()
    os.link(path / "density.onnx", tmp_path / "store")
    assert rnvp_runtime.load(path).log_prob(X).shape == (3,)
    assert all(check.passed for check in verify(path))
    with (tmp_path / "store").open("r+b") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"density\.onnx is not the file that was exported"):
        rnvp_runtime.load(path).log_prob(X)


def test_a_folder_that_is_a_link_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    """The link may point outside the bundle. The bundle itself may be a link, for releases."""
    path = make_bundle()
    (path / "tests").rename(tmp_path / "elsewhere")
    (path / "tests").symlink_to(tmp_path / "elsewhere")
    assert any("tests, which is a link" in check.detail for check in verify(path))
    (tmp_path / "current").symlink_to(path)
    assert rnvp_runtime.load(tmp_path / "current").log_prob(X).shape == (3,)


def _zipped(bundle: Path, to: Path, top: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(to, "w", method) as archive:
        for file in sorted(bundle.rglob("*")):
            if file.is_file():
                archive.write(file, top + file.relative_to(bundle).as_posix())
    return to


@pytest.mark.parametrize("top", ["", "model.rnvp/"])
def test_a_zip_file_is_a_bundle(bundle: Path, tmp_path: Path, top: str) -> None:
    """The files are at the top or in one folder, and nothing is extracted."""
    path = _zipped(bundle, tmp_path / "model.rnvp.zip", top)
    expected = rnvp_runtime.load(bundle).log_prob(X)
    np.testing.assert_array_equal(rnvp_runtime.load(path).log_prob(X), expected)
    assert all(check.passed for check in verify(path))
    assert os.listdir(tmp_path) == ["model.rnvp.zip"]


@pytest.mark.parametrize(
    ("tops", "held"),
    [
        (["a/", "b/"], "a, b"),
        (["deep/er/"], "deep/er"),
        (["a/", "deep/er/b/"], "a, deep/er/b"),
        (["a/", "b/", "c/", "d/", "e/"], "a, b, c and 2 more"),
        (["a\nb/", "c/"], r"a\nb, c"),
    ],
)
def test_a_zip_file_that_is_no_bundle_says_which_it_holds(
    bundle: Path, tmp_path: Path, tops: list[str], held: str
) -> None:
    """load and verify say in one line what was found, and what a zip file of a bundle is."""
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for top in tops:
            archive.write(bundle / "manifest.json", f"{top}manifest.json")
    for call in (rnvp_runtime.load, verify):
        with pytest.raises(BundleError) as error:
            call(path)
        assert str(error.value) == (
            f"{path} has no manifest.json, so it is not a bundle: it holds {held}: give the folder "
            "of one bundle, or a zip file with its files at the top or in one folder"
        )


def test_a_folder_of_bundles_says_which_it_holds(bundle: Path, tmp_path: Path) -> None:
    """The folders in it are looked at, and not those in them."""
    for name in ("a.rnvp", "b.rnvp", "deep/er"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").touch()
    (tmp_path / "deep" / "empty").mkdir()
    with pytest.raises(BundleError, match=r"not a bundle: it holds a\.rnvp, b\.rnvp: give"):
        rnvp_runtime.load(tmp_path)
    with pytest.raises(BundleError, match=r"deep has no manifest\.json, .*: it holds er: give"):
        rnvp_runtime.load(tmp_path / "deep")
    with pytest.raises(BundleError, match=r"so it is not a bundle$"):
        rnvp_runtime.load(tmp_path / "deep" / "empty")


@pytest.mark.parametrize("call", [rnvp_runtime.load, verify, rnvp_runtime.Manifest.read])
def test_an_empty_path_is_not_the_current_folder(bundle: Path, call: Callable[[str], None]) -> None:
    """A variable of a script that is not set is said to be empty."""
    with pytest.raises(BundleError, match="the path of the bundle is empty"):
        call("")


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the current folder")
@pytest.mark.parametrize("call", [rnvp_runtime.load, verify, rnvp_runtime.Manifest.read])
def test_a_removed_current_folder_is_named(
    bundle: Path, tmp_path: Path, call: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path leads nowhere then. An absolute one is opened."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for path in ("b.rnvp", Path("b.rnvp"), ".", "..", "a/b.rnvp"):
        with pytest.raises(BundleError, match="the current folder was removed"):
            call(path)
    call(bundle)


class _Bytes:
    def __fspath__(self) -> bytes:
        return b"b.rnvp"


def test_a_path_of_bytes_is_refused() -> None:
    """Paths are text."""
    with pytest.raises(rnvp_runtime.InputError, match="path is bytes, expected text or a path"):
        rnvp_runtime.load(_Bytes())  # type: ignore[arg-type]


def test_a_package_resource_is_a_bundle(bundle: Path, tmp_path: Path) -> None:
    """``importlib.resources.files`` gives such a path for a package in a zip file."""
    archive = _zipped(bundle, tmp_path / "package.whl", "package/model.rnvp/")
    resource = zipfile.Path(archive) / "package" / "model.rnvp"
    expected = rnvp_runtime.load(bundle).log_prob(X)
    np.testing.assert_array_equal(rnvp_runtime.load(resource).log_prob(X), expected)


def _duplicate(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("density.onnx", b"other")


def _bomb(path: Path) -> None:
    _rewrite(path, bytes(50_000_000))


def _other_method(path: Path) -> None:
    _rewrite(path, b"x", zipfile.ZIP_LZMA)


def _rewrite(path: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, kept in entries.items():
            archive.writestr(name, content if name == "density.onnx" else kept)


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    at = content.index(b"density.onnx") + 200
    content[at] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [_duplicate, _bomb, _other_method, _flipped])
def test_a_zip_file_with_a_fault_is_refused(
    bundle: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """The reader stops at the size in the manifest."""
    path = _zipped(bundle, tmp_path / "model.zip")
    harm(path)
    with pytest.raises(BundleError) as error:
        rnvp_runtime.load(path).log_prob(X)
    assert "\n" not in str(error.value)
