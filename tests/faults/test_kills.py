"""A bundle that is being replaced stays complete if its writer is killed or the disk is full."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnvp_runtime.publishing import publish_file, publish_folder
from tests.faults.bundles import copy, sound_bundle
from tests.faults.killing import kill_writers

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two paths")


@LINUX
@pytest.mark.parametrize("times", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_a_killed_writer_leaves_a_whole_bundle(times: int, tmp_path: Path) -> None:
    """Every load succeeds, and the next writer removes the files of the killed ones."""
    outcome = kill_writers(tmp_path, times)
    assert outcome.loads > 0
    assert outcome.faults == ()
    assert outcome.names == ("model.rnvp",)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("to mount a small file system needs root, on Linux")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this system does not let root mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_full_disk_leaves_the_old_one(kind: str, small_disk: Path, tmp_path: Path) -> None:
    """With too little free space the old bundle stays complete, and no other file is left."""
    old, new = sound_bundle(tmp_path), copy(tmp_path / "model.rnvp", tmp_path / "new")
    if kind == "file":
        shutil.make_archive(str(tmp_path / "old"), "zip", old)
        shutil.make_archive(str(tmp_path / "changed"), "zip", new)
        old, new = tmp_path / "old.zip", tmp_path / "changed.zip"
        new.write_bytes(new.read_bytes() * 3)
    else:
        (new / "report.html").write_bytes(bytes(50_000))
    target = small_disk / "model.rnvp"
    outcomes = set()
    for step in range(50):
        with contextlib.suppress(OSError):
            _publish(old, target)
        filler = small_disk / "filler"
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(bytes(max(0, free - step * 4096)))
        try:
            _publish(new, target)
        except OSError:
            outcomes.add("refused")
            assert _digest(target) == _digest(old)
        else:
            outcomes.add("replaced")
            assert _digest(target) == _digest(new)
        assert {path.name for path in small_disk.iterdir()} == {"filler", "model.rnvp"}
        filler.unlink()
    assert outcomes == {"refused", "replaced"}


def _publish(source: Path, target: Path) -> None:
    if source.is_dir():
        with publish_folder(target, force=True, is_ours=lambda _: True) as work:
            shutil.copytree(source, work, dirs_exist_ok=True)
    else:
        with publish_file(target) as file:
            file.write(source.read_bytes())


def _digest(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {
        p.relative_to(path).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }
