"""Files and folders appear complete or not at all, even if the writer fails or is killed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnvp_runtime import OutputError, TableError, publishing, renaming
from rnvp_runtime.publishing import publish_file, publish_folder

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and modes are POSIX's")


def is_ours(folder: Path) -> bool:
    """Whether a folder was published by these tests: it then holds a file called ``ours``."""
    return (folder / "ours").is_file()


def publish(
    target: Path, text: str, *, force: bool = False, meanwhile: Callable[[], Any] = lambda: None
) -> None:
    """Publish a folder of two files that hold ``text``."""
    with publish_folder(target, force=force, is_ours=is_ours, kind="test folder") as folder:
        (folder / "ours").write_text(text)
        (folder / "sub").mkdir()
        (folder / "sub" / "part").write_text(text)
        meanwhile()


@pytest.fixture(params=["one step", "two renames"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with the system's exchange of two paths and with two renames."""
    if request.param == "two renames":
        monkeypatch.setattr(renaming, "_system_call", lambda: None)
    elif sys.platform != "linux":
        pytest.skip("only Linux exchanges paths")
    name: str = request.param
    return name


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The path at which the folder is published."""
    return tmp_path / "model.rnvp"


def names(folder: Path) -> list[str]:
    """The names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_when_the_block_ends(system: str, target: Path) -> None:
    """The target does not exist before, and no temporary folder remains."""
    seen: list[bool] = []
    publish(target, "new", meanwhile=lambda: seen.append(target.exists()))
    assert seen == [False]
    assert (target / "sub" / "part").read_text() == "new"
    assert names(target.parent) == ["model.rnvp"]


@POSIX
def test_a_folder_can_be_read_by_everyone(target: Path) -> None:
    """A web server must read the folder, so its mode is 0755 even under a strict umask."""
    before = os.umask(0o077)
    try:
        publish(target, "new")
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o755


MODES = [0o600, 0o640, 0o644, 0o660, 0o400, 0o777]


def mode(path: Path) -> int:
    """The permission bits of a path."""
    return path.stat().st_mode & 0o777


@POSIX
@pytest.mark.parametrize("bits", MODES)
@pytest.mark.parametrize("through", ["path", "link"])
def test_a_file_that_is_replaced_keeps_its_permissions(
    tmp_path: Path, bits: int, through: str
) -> None:
    """The new file is at no time open to more users than the old one."""
    target, given = tmp_path / "t.csv", tmp_path / "t.csv"
    target.write_bytes(b"old")
    target.chmod(bits)
    if through == "link":
        given = tmp_path / "link.csv"
        given.symlink_to(target)
    with publish_file(given) as file:
        [temporary] = tmp_path.glob(".*.tmp")
        assert mode(temporary) == bits | 0o600
        file.write(b"new")
    assert (target.read_bytes(), mode(target)) == (b"new", bits)


@POSIX
@pytest.mark.parametrize("bits", [0o700, 0o750, 0o755, 0o770, 0o500])
def test_a_folder_that_is_replaced_keeps_its_permissions(
    system: str, target: Path, bits: int
) -> None:
    """So do the files and folders that both hold; new ones have the usual mode."""
    publish(target, "old")
    usual = mode(target / "ours")
    (target / "sub" / "part").chmod(0o600)
    (target / "sub").chmod(0o700)
    target.chmod(bits)

    def look() -> None:
        [temporary] = target.parent.glob(".*.tmp")
        assert mode(temporary) == bits | 0o700

    publish(target, "new", force=True, meanwhile=look)
    assert mode(target) == bits
    assert mode(target / "sub") == 0o700
    assert mode(target / "sub" / "part") == 0o600
    assert mode(target / "ours") == usual
    assert (target / "sub" / "part").read_text() == "new"
    publish(target, "third", force=True)
    assert names(target.parent) == ["model.rnvp"]


@POSIX
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_new_file_or_folder_has_the_usual_permissions(target: Path, kind: str) -> None:
    """A file follows the umask, and a folder can be read by everyone."""
    before = os.umask(0o027)
    try:
        _write(kind, target)
    finally:
        os.umask(before)
    assert mode(target) == (0o755 if kind == "folder" else 0o640)


@POSIX
@pytest.mark.parametrize("may_give_it_away", [True, False])
def test_no_other_group_gets_the_rights_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_give_it_away: bool
) -> None:
    """The new file has the group of the old one, or its group may do what everyone may."""
    target = tmp_path / "t.csv"
    target.write_bytes(b"old")
    try:
        os.chown(target, 12345, 54321)
    except PermissionError:
        pytest.skip("only root can give a file to any group")
    target.chmod(0o660)

    def refuse(path: Path, owner: int, group: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    if not may_give_it_away:
        monkeypatch.setattr(os, "chown", refuse)
    _write("file", target)
    found = target.stat()
    ours = (os.geteuid(), os.getegid(), 0o600)
    expected = (12345, 54321, 0o660) if may_give_it_away else ours
    assert (found.st_uid, found.st_gid, mode(target)) == expected


def test_everything_is_flushed_to_the_disk(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file, each folder, and the parent folder, which holds the name, are flushed."""
    flushed: set[int] = set()
    fsync = os.fsync

    def record(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    publish(target, "new")
    written = [target.parent, target, *target.rglob("*")]
    assert flushed == {path.stat().st_ino for path in written}


def test_force_replaces_the_whole_folder(system: str, target: Path) -> None:
    """The new folder has no file of the old one."""
    publish(target, "old")
    (target / "stale").write_text("")
    publish(target, "new", force=True)
    assert names(target) == ["ours", "sub"]
    assert names(target.parent) == ["model.rnvp"]


def _another(target: Path, kind: str) -> None:
    if kind == "file":
        target.write_text("theirs")
    elif kind == "link":
        target.symlink_to("nowhere")
    else:
        target.mkdir()
        if kind == "folder":
            (target / "thesis").write_text("theirs")


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder"])
@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_a_test_folder_is_never_replaced(
    system: str, target: Path, kind: str, force: bool
) -> None:
    """The target is refused before any work, with and without force."""
    _another(target, kind)
    said = "is not a test folder; it is left alone" if force else "is there already; --force"
    with pytest.raises(OutputError, match=said):
        publish(target, "new", force=force, meanwhile=lambda: pytest.fail("refused too late"))
    assert names(target.parent) == ["model.rnvp"]


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder", "link"])
@pytest.mark.parametrize("force", [False, True])
def test_what_appears_meanwhile_is_kept(system: str, target: Path, kind: str, force: bool) -> None:
    """The target is checked again at the moment of publishing."""
    with pytest.raises(OutputError, match="is there already"):
        publish(target, "new", force=force, meanwhile=lambda: _another(target, kind))
    assert names(target.parent) == ["model.rnvp"]
    assert not is_ours(target)


def test_a_test_folder_that_appears_meanwhile_needs_force(system: str, target: Path) -> None:
    """Of two runs for one target, the second to finish needs force."""
    with pytest.raises(OutputError, match="--force replaces it"):
        publish(target, "second", meanwhile=lambda: publish(target, "first"))
    assert (target / "ours").read_text() == "first"
    publish(target, "third", force=True, meanwhile=lambda: publish(target, "2.", force=True))
    assert (target / "ours").read_text() == "third"
    assert names(target.parent) == ["model.rnvp"]


def test_a_target_changed_after_the_last_check_is_put_back(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lock covers the check and the exchange, so the old folder is checked again after it."""
    publish(target, "old")
    exchange = publishing.exchange

    def swapped(one: Path, other: Path) -> bool:
        monkeypatch.setattr(publishing, "exchange", exchange)
        (target / "ours").rename(target / "thesis")
        return exchange(one, other)

    monkeypatch.setattr(publishing, "exchange", swapped)
    with pytest.raises(OutputError, match="is not a test folder"):
        publish(target, "new", force=True)
    assert names(target) == ["sub", "thesis"]


def test_a_target_that_vanishes_meanwhile_is_written_all_the_same(
    system: str, target: Path
) -> None:
    """The new folder is published, since there is nothing to keep."""
    publish(target, "old")
    away = target.with_name("away")
    publish(target, "new", force=True, meanwhile=lambda: target.rename(away))
    assert (target / "ours").read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, TableError])
@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_nothing_behind(target: Path, error: type[Exception], there: bool) -> None:
    """The target stays as it was after an exception and after Ctrl-C."""
    if there:
        publish(target, "old")

    def fail() -> None:
        raise error

    with pytest.raises(error):
        publish(target, "new", force=True, meanwhile=fail)
    assert names(target.parent) == ["model.rnvp"] * there
    assert not there or (target / "ours").read_text() == "old"


def test_a_link_keeps_pointing(target: Path) -> None:
    """The folder that the link names is replaced, and the link stays."""
    publish(target, "old")
    link = target.with_name("link.rnvp")
    link.symlink_to(target.name, target_is_directory=True)
    publish(link, "new", force=True)
    assert link.is_symlink()
    assert (target / "ours").read_text() == "new"


def test_the_class_of_the_error_is_the_callers(tmp_path: Path) -> None:
    """The caller chooses the class of the error."""
    with (
        pytest.raises(TableError, match=r"the folder .* does not exist"),
        publish_folder(tmp_path / "none" / "x", force=False, is_ours=is_ours, error=TableError),
    ):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges paths")
def test_a_reader_always_finds_a_complete_folder(target: Path) -> None:
    """While a folder is replaced 100 times, every read succeeds."""
    publish(target, "0")
    stop, failures = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                (target / "ours").read_text()
            except OSError as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for i in range(100):
            publish(target, str(i), force=True)
    finally:
        stop.set()
        reader.join()
    assert failures == []


HOLD = """
import sys, time
from pathlib import Path
from rnvp_runtime.publishing import publish_file, publish_folder
kind, target = sys.argv[1:]
opened = (publish_file(target) if kind == "file" else
          publish_folder(target, force=True, is_ours=lambda folder: True))
with opened:
    print("writing", flush=True)
    time.sleep(60)
"""


def _writer(kind: str, target: Path) -> "subprocess.Popen[str]":
    """A process that has begun to write ``target``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, kind, str(target)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def _write(kind: str, target: Path) -> None:
    if kind == "folder":
        publish(target, "new", force=True)
        return
    with publish_file(target) as file:
        file.write(b"new")


@POSIX
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_run_left_is_removed_by_the_next(target: Path, kind: str) -> None:
    """The temporary files of a run that is still alive stay."""
    with _writer(kind, target) as alive, _writer(kind, target) as killed:
        assert alive.stdout is not None
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(names(target.parent)) == 2
        _write(kind, target)
        assert len(names(target.parent)) == 2
        assert "model.rnvp" in names(target.parent)
        alive.send_signal(signal.SIGINT)
        alive.wait()
    assert names(target.parent) == ["model.rnvp"]


KILLED_BETWEEN_RENAMES = """
import os, sys
from pathlib import Path
from rnvp_runtime import publishing, renaming
renaming._system_call = lambda: None
rename = os.rename

def rename_and_die(source, target):
    rename(source, target)
    os._exit(9)

with publishing.publish_folder(sys.argv[1], force=True, is_ours=lambda p: True) as folder:
    (folder / "ours").write_text("new")
    os.rename = rename_and_die
"""


def test_a_run_killed_between_two_renames_is_undone_by_the_next(target: Path) -> None:
    """The next run first puts the old folder back."""
    publish(target, "old")
    done = subprocess.run([sys.executable, "-c", KILLED_BETWEEN_RENAMES, str(target)], check=False)
    assert done.returncode == 9
    assert not target.exists()
    with pytest.raises(OutputError, match="is there already"):
        publish(target, "third")
    assert (target / "ours").read_text() == "old"
    publish(target, "fourth", force=True)
    assert names(target.parent) == ["model.rnvp"]


def test_other_hidden_files_are_left_alone(target: Path) -> None:
    """Only temporary names for this target are removed."""
    kept = [
        ".model.rnvp",
        ".model.rnvp.tmp",
        ".model.rnvp.12345678.tmp.txt",
        ".x.12345678.tmp",
    ]
    for name in kept:
        (target.parent / name).write_text("theirs")
    publish(target, "new")
    assert names(target.parent) == sorted([*kept, "model.rnvp"])


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    """Without ``replace``, a file that exists when the block ends stays."""
    target = tmp_path / "t.csv"

    def write() -> None:
        with publish_file(target, replace=False) as file:
            file.write(b"new")
            target.write_bytes(b"theirs")

    with pytest.raises(OutputError, match="exists, and was not replaced"):
        write()
    assert target.read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
