"""Tables from pipes, compressed files, folders, patterns and URIs are read in the same way."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from rnvp_runtime import TableError
from rnvp_runtime.tables import open_table, open_writer

FRAME = pd.DataFrame({"id": ["p", "q", "r"], "a": [0.5, 2.0, 4.0], "b": [1.0, 2.0, 3.0]})
NUMBERS = FRAME[["a", "b"]].to_numpy()


def content(suffix: str) -> bytes:
    """The bytes of the table in a format."""
    file = io.BytesIO()
    if suffix == ".csv":
        return FRAME.to_csv(index=False).encode()
    if suffix == ".parquet":
        FRAME.to_parquet(file)
    elif suffix == ".feather":
        pyarrow.feather.write_feather(pa.Table.from_pandas(FRAME), file)
    elif suffix == ".arrow":
        table = pa.Table.from_pandas(FRAME)
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    elif suffix == ".npz":
        np.savez(file, a=NUMBERS[:, 0], b=NUMBERS[:, 1])
    else:
        np.save(file, NUMBERS)
    return file.getvalue()


def zipped(data: bytes, name: str) -> bytes:
    """A zip archive of one file, with the second entry that macOS adds."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"folder/{name}", data)
        archive.writestr(f"__MACOSX/._{name}", b"x")
    return file.getvalue()


def zstd(data: bytes) -> bytes:
    """The bytes as a zstd stream."""
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def numbers(location: Any) -> Any:
    """Read the two columns, and check that a second read gives the same."""
    table = open_table(location)
    first, again = (np.concatenate([b.numeric(["a", "b"]) for b in table]) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    return first


FORMATS = [".csv", ".parquet", ".feather", ".arrow", ".npz", ".npy"]
COMPRESSIONS: dict[str, Callable[[bytes, str], bytes]] = {
    "": lambda data, name: data,
    ".gz": lambda data, name: gzip.compress(data),
    ".bz2": lambda data, name: bz2.compress(data),
    ".xz": lambda data, name: lzma.compress(data),
    ".zst": lambda data, name: zstd(data),
    ".zip": zipped,
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_read_from_every_compression(
    tmp_path: Path, suffix: str, compression: str
) -> None:
    """The suffix gives the compression. The format below it is read as without compression."""
    path = tmp_path / f"t{suffix}{compression}"
    path.write_bytes(COMPRESSIONS[compression](content(suffix), f"t{suffix}"))
    np.testing.assert_array_equal(numbers(path), NUMBERS)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("compression", ["", ".gz", ".zst", ".zip"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_read_from_a_pipe(tmp_path: Path, suffix: str, compression: str) -> None:
    """The first bytes of a pipe give its format, and a table from a pipe may be read twice."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = COMPRESSIONS[compression](content(suffix), f"t{suffix}")
    thread = threading.Thread(target=pipe.write_bytes, args=(data,))
    thread.start()
    np.testing.assert_array_equal(numbers(pipe), NUMBERS)
    thread.join()


READ_TWICE = """
import sys
from rnvp_runtime.tables import open_table
table = open_table(sys.argv[1])
print(*(sum(len(batch) for batch in table) for _ in range(2)))
"""


@pytest.mark.parametrize("location", ["-", "/dev/stdin"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.skipif(sys.platform == "win32", reason="this system has no /dev")
def test_standard_input_is_a_table(suffix: str, location: str) -> None:
    """A separate process reads the table from standard input."""
    command = [sys.executable, "-c", READ_TWICE, location]
    ran = subprocess.run(command, input=content(suffix), capture_output=True, check=True)
    assert ran.stdout.split() == [b"3", b"3"]


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no bash")
def test_process_substitution_is_a_table() -> None:
    """The location may be a shell's <(...), as in rnvp-score model.rnvp <(zcat data.csv.gz)."""
    line = f"'{sys.executable}' -c \"$CODE\" <(printf 'a,b\\n1,2\\n3,4\\n')"
    ran = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "CODE": READ_TWICE},
        capture_output=True,
        check=True,
    )
    assert ran.stdout.split() == [b"2", b"2"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy", ".feather"])
def test_a_folder_is_one_table(tmp_path: Path, suffix: str) -> None:
    """Files are read in the order of their names, subfolders included, and rows are counted on."""
    folder = tmp_path / "data"
    for name in (f"2{suffix}", f"1{suffix}", f"more/3{suffix}"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content(suffix))
    for beside in ("_SUCCESS", ".1.crc", "_metadata/x"):
        (folder / beside).parent.mkdir(exist_ok=True)
        (folder / beside).write_bytes(b"")
    for location in (folder, f"{folder}/**/*{suffix}", f"{folder}/**/*"):
        np.testing.assert_array_equal(numbers(location), np.concatenate([NUMBERS] * 3))
    assert [batch.first_row for batch in open_table(folder)] == [1, 4, 7]


def test_files_with_other_columns_are_not_one_table(tmp_path: Path) -> None:
    """The error names both files and their columns."""
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("b,a\n1,2\n")
    with pytest.raises(TableError, match=r"2.csv has b, a, .*1.csv has a, b"):
        open_table(tmp_path)


def test_a_partitioned_folder_is_refused(tmp_path: Path) -> None:
    """The files lack a column that only the names of the folders hold."""
    (tmp_path / "year=2024").mkdir()
    (tmp_path / "year=2024" / "0.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TableError, match=r"partitioned by year, .*: give a pattern of files"):
        open_table(tmp_path)
    assert numbers(f"{tmp_path}/*/*.csv").tolist() == [[1, 2]]


def test_a_pattern_reads_names_in_underscore_if_it_says_so(tmp_path: Path) -> None:
    """Spark's _SUCCESS is no table; a pattern or a folder that begins with _ is read."""
    folder = tmp_path / "_in"
    folder.mkdir()
    for name in ("_1.csv", "2.csv"):
        (folder / name).write_bytes(content(".csv"))
    (folder / "_SUCCESS").write_bytes(b"")
    assert [len(numbers(f"{folder}/{pattern}")) for pattern in ("*", "[!x]*", "_*.csv")] == [
        3,
        3,
        3,
    ]
    with pytest.raises(TableError, match=r"no file matches .*/\*S: correct the pattern"):
        open_table(f"{folder}/*S")


@pytest.mark.parametrize("compression", [c for c in COMPRESSIONS if c])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_without_a_suffix_is_known_by_its_first_bytes(
    tmp_path: Path, suffix: str, compression: str
) -> None:
    """The format and its compression, as in a pipe. Text in BZh is no bz2."""
    data = COMPRESSIONS[compression](content(suffix), f"t{suffix}")
    (tmp_path / "part-0").write_bytes(data)
    np.testing.assert_array_equal(numbers(tmp_path / "part-0"), NUMBERS)
    for name in ("text", "text.csv"):
        (tmp_path / name).write_text("BZh9,a,b\n0,1,2\n")
        assert numbers(tmp_path / name).tolist() == [[1, 2]]


@pytest.mark.parametrize("compression", [c for c in COMPRESSIONS if c])
def test_a_compressed_file_with_the_suffix_of_text_says_its_name(
    tmp_path: Path, compression: str
) -> None:
    """The table can be read under the name that the error gives."""
    path = tmp_path / "t.csv"
    path.write_bytes(COMPRESSIONS[compression](content(".csv"), "t.csv"))
    said = rf"called \.csv, but holds \{compression}: rename it t\.csv\{compression}$"
    with pytest.raises(TableError, match=said):
        open_table(path)
    np.testing.assert_array_equal(numbers(path.rename(f"{path}{compression}")), NUMBERS)


def test_an_empty_name_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset variable of the shell does not mean all files of the folder."""
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError, match="the name of the table is empty: give a table"):
        open_table("")
    with pytest.raises(TableError, match="cannot write a table without a name"), open_writer(""):
        pass


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing file, pattern and URI and an unknown URI scheme give different errors."""
    for location, said in [
        (tmp_path / "no.csv", "no.csv does not exist: give a table"),
        (f"{tmp_path}/*.csv", r"no file matches .*\*.csv"),
        ((tmp_path / "no.csv").as_uri(), "no.csv does not exist"),
        ("nothing://bucket/t.csv", "nothing://bucket/t.csv cannot be opened"),
    ]:
        with pytest.raises(TableError, match=said) as error:
            open_table(location)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.npy", "t.csv.gz"])
def test_a_uri_is_a_table(tmp_path: Path, name: str) -> None:
    """pyarrow's filesystems open the URI."""
    suffix = Path(name).suffix if name != "t.csv.gz" else ".csv"
    data = content(suffix)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    np.testing.assert_array_equal(numbers((tmp_path / name).as_uri()), NUMBERS)
    assert len(numbers(tmp_path.as_uri())) == 3


def test_a_uri_of_fsspec_is_a_table() -> None:
    """fsspec opens a URI for which pyarrow has no filesystem."""
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/bucket/t.parquet", content(".parquet"))
    np.testing.assert_array_equal(numbers("memory://bucket/t.parquet"), NUMBERS)


@pytest.mark.parametrize("name", ["t.xlsx", "t.xls", "t.csv", "t.zip"])
def test_a_spreadsheet_says_what_to_do(tmp_path: Path, name: str) -> None:
    """The suffix or the content shows that the file is a spreadsheet."""
    workbook = io.BytesIO()
    with zipfile.ZipFile(workbook, "w") as archive:
        archive.writestr("[Content_Types].xml", b"<Types/>")
        archive.writestr("xl/workbook.xml", b"<workbook/>")
    (tmp_path / name).write_bytes(workbook.getvalue())
    with pytest.raises(
        TableError, match=r"save the sheet as CSV UTF-8|holds \.zip: rename it t\.csv\.zip"
    ):
        open_table(tmp_path / name)


def test_a_zip_of_several_tables_is_refused(tmp_path: Path) -> None:
    """The error names the tables."""
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        for name in ("a.csv", "b.csv", "readme.txt"):
            archive.writestr(name, "a,b\n1,2\n")
    with pytest.raises(TableError, match=r"holds 2 tables \(a.csv, b.csv, readme.txt\)"):
        open_table(tmp_path / "t.zip")


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.bz2", ".tsv.xz", ".csv.zst"])
def test_text_is_written_compressed(tmp_path: Path, suffix: str) -> None:
    """The compressed file is read back with the same numbers."""
    with open_writer(tmp_path / f"t{suffix}") as writer:
        writer.write({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1]})
    np.testing.assert_array_equal(numbers(tmp_path / f"t{suffix}"), NUMBERS)


@pytest.mark.parametrize("name", ["t.npy.gz", "t.parquet.gz", "t.npz", "s3://bucket/t.csv"])
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    """Compressed binary formats, .npz and object stores are refused when the writer opens."""
    target = name if "://" in name else str(tmp_path / name)
    with pytest.raises(TableError, match="cannot write"), open_writer(target):
        pass


def test_an_index_of_pandas_is_kept(tmp_path: Path) -> None:
    """The metadata of a Parquet file and of its columns is copied to the output."""
    frame = FRAME.set_index("id")
    schema = pa.Schema.from_pandas(frame)
    field = schema.field("a").with_metadata({"unit": "nats"})
    table = pa.Table.from_pandas(frame, schema.set(0, field))
    for suffix in (".parquet", ".feather"):
        pq.write_table(table, tmp_path / "in.parquet")
        read = open_table(tmp_path / "in.parquet")
        with open_writer(tmp_path / f"out{suffix}", like=read) as writer:
            for batch in read:
                writer.write({**batch.columns(), "log_prob": np.zeros(len(batch), "f4")})
        out = tmp_path / f"out{suffix}"
        found = pq.read_table(out) if suffix == ".parquet" else pyarrow.feather.read_table(out)
        assert found.to_pandas().index.equals(frame.index)
        assert found.schema.field("a").metadata[b"unit"] == b"nats"
