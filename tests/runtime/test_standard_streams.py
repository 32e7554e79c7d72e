"""Commands run with closed standard streams, as a scheduler or ``2>&-`` starts them."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rnvp_runtime import TableError
from rnvp_runtime.commands.umbrella import GROUPS
from rnvp_runtime.standard_streams import binary_stream, on_terminal
from rnvp_runtime.tables import open_table, open_writer
from rnvp_runtime.terminal.user_errors import UserErrorCommand

POSIX = pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the streams")
CLOSED = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}
SCORE = ["score", "model.rnvp", "t.csv", "-o", "o.csv"]


@pytest.fixture(autouse=True)
def files(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle and a table in the current folder."""
    shutil.copytree(bundle, tmp_path / "model.rnvp")
    (tmp_path / "t.csv").write_text("x0,x1\n1,2\n3,4\n")
    monkeypatch.chdir(tmp_path)


def run(args: list[str], closed: str, through: str = "rnvp") -> "subprocess.CompletedProcess[str]":
    """Run a command, as a subcommand of rnvp or itself, with the streams ``closed``."""
    code = "from rnvp_runtime.commands.umbrella import rnvp; rnvp()"
    if through == "itself":
        name = args.pop(0)
        code = f"from rnvp_runtime.commands.{name} import {name}; {name}()"
    redirected = " ".join(CLOSED[name] for name in closed.split())
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirected}', sys.executable, "-c", code, *args],
        capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip


@POSIX
@pytest.mark.parametrize("through", ["rnvp", "itself"])
@pytest.mark.parametrize("closed", [*CLOSED, "stdin stdout stderr"])
def test_streams_that_are_not_needed_may_be_closed(closed: str, through: str) -> None:
    """The output is written, and nothing else gets into it."""
    done = run([*SCORE], closed, through)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert [line.count(",") for line in Path("o.csv").read_text().splitlines()] == [2, 2, 2]


@POSIX
@pytest.mark.parametrize(
    ("args", "closed", "said"),
    [
        (["score", "model.rnvp", "-"], "stdin", "standard input"),
        (["score", "model.rnvp", "t.csv"], "stdout", "standard output"),
        (["sample", "model.rnvp", "-n", "3"], "stdout", "standard output"),
    ],
)
def test_a_table_on_a_closed_stream_is_one_line(args: list[str], closed: str, said: str) -> None:
    """The error names the stream."""
    done = run(args, closed)
    assert done.returncode == 1
    assert done.stderr == f"Error: {said} is closed: name a file\n"
    assert run(args, f"{closed} stderr").returncode == 1


@POSIX
@pytest.mark.parametrize("args", [["verify", "model.rnvp"], ["inspect", "model.rnvp"], ["--help"]])
def test_what_is_only_said_may_be_said_to_nobody(args: list[str]) -> None:
    """The exit code is that of the command, whatever stream is closed."""
    for closed in CLOSED:
        assert run(args, closed).returncode == 0


@POSIX
def test_a_closed_stream_has_no_other_file_behind_its_number() -> None:
    """The numbers 0, 1 and 2 are the null device, also for what is not written by Python."""
    code = """
import os
import shutil
from rnvp_runtime.standard_streams import prepare_streams
prepare_streams()
null = os.stat(os.devnull)
print(os.open("t.csv", os.O_RDONLY), *(os.path.samestat(os.fstat(i), null) for i in range(3)),
      file=open("said", "w"))
"""
    command = ["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, code]
    assert subprocess.run(command).returncode == 0
    number, *same = Path("said").read_text().split()
    assert int(number) > 2
    assert same == ["True"] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names of text only")
@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict", "latin-1:strict"])
def test_what_the_encoding_lacks_is_printed_as_an_escape(encoding: str) -> None:
    """A name that is no text, and text that the terminal lacks, are no reason to fail."""
    given = Path(os.fsdecode(b"b\xff\xe2\x82\xac.rnvp"))
    Path("model.rnvp").rename(given)
    for args in (["inspect"], ["verify"], ["verify", "--json"], ["compare", str(given)]):
        code = "from rnvp_runtime.commands.umbrella import rnvp; rnvp()"
        done = subprocess.run(
            [sys.executable, "-c", code, args[0], str(given), *args[1:]],
            env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_every_command_opens_closed_streams() -> None:
    """All commands of the distribution have the class that does."""
    for subcommand in (command for group in GROUPS.values() for command in group):
        assert isinstance(subcommand.load(), UserErrorCommand), subcommand.name


@pytest.mark.parametrize("stream", [None, io.StringIO()], ids=["none", "text"])
def test_a_program_without_byte_streams_gets_an_error(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program without a console has none, and a notebook has streams of text."""
    for name in CLOSED:
        monkeypatch.setattr(sys, name, stream)
    assert not on_terminal()
    with pytest.raises(TableError, match=r"standard input .*: name a file"):
        open_table("-")
    with pytest.raises(TableError, match=r"standard output .*: name a file"), open_writer(None):
        pass


def test_a_closed_file_as_standard_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that the program itself has closed is closed too."""
    for name in CLOSED:
        stream = io.TextIOWrapper(io.BytesIO())
        stream.close()
        monkeypatch.setattr(sys, name, stream)
    assert not on_terminal()
    with pytest.raises(TableError, match="standard output is closed"):
        binary_stream("stdout")
