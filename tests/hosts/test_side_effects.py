"""A flow writes no other file on the machine and opens no connection."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.conftest import bundle

__all__ = ["bundle"]

SCORE = "import sys; from rnvp_runtime.commands.score import score; score(sys.argv[1:])"


def _score(bundle: Path, folder: Path, *wrapper: str) -> None:
    """Run rnvp-score with a new home folder and without variables for telemetry."""
    home = folder / "home"
    home.mkdir()
    (folder / "x.csv").write_text("x0,x1\n0.5,1\n")
    kept = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "TMPDIR": str(folder)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [*wrapper, sys.executable, "-c", SCORE, bundle, "x.csv", "-o", "out.csv"],
        cwd=folder, env=environment, check=True, timeout=300, capture_output=True,
    )  # fmt: skip


def test_scoring_writes_its_output_and_no_other_file(bundle: Path, tmp_path: Path) -> None:
    """The home folder and the temporary folder get no other file."""
    _score(bundle, tmp_path)
    assert list((tmp_path / "home").rglob("*")) == []
    assert sorted(os.listdir(tmp_path)) == ["home", "out.csv", "x.csv"]


def test_scoring_looks_up_no_name(bundle: Path, tmp_path: Path) -> None:
    """strace shows no connection, and no file elsewhere that is opened for writing."""
    if (
        shutil.which("strace") is None
        or subprocess.run(["strace", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("strace is not installed, or may not trace here")
    log = tmp_path / "strace.log"
    calls = "trace=connect,sendto,openat,mkdir,mkdirat"
    _score(bundle, tmp_path, "strace", "-f", "-qq", "-o", str(log), "-e", calls)
    lines = log.read_text(errors="replace").splitlines()
    assert any("density.onnx" in line for line in lines), "nothing was traced"
    network = [line for line in lines if re.search(r"connect\(|sendto\(.*AF_INET", line)]
    assert network == []
    written = {
        match[1]
        for line in lines
        if re.search(r"O_WRONLY|O_RDWR|mkdir", line) and (match := re.search(r'"([^"]+)"', line))
    }
    outside = {p for p in written if Path(p).is_absolute() and tmp_path not in Path(p).parents}
    assert outside <= {"/dev/null", "/dev/tty"}
