"""Damaged, encrypted and malicious tables give one line that names the file, no traceback."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnvp_runtime import RnvpError, TableError
from rnvp_runtime.tables import compression, open_table

TABLE = pa.table({"a": [0.5, None, 4.0] * 20, "s": ["p", "quite long", None] * 20})


def _parquet(file: Any) -> None:
    pq.write_table(TABLE, file)


def _feather(file: Any) -> None:
    pyarrow.feather.write_feather(TABLE, file)


def _npz(file: Any) -> None:
    np.savez_compressed(file, a=np.arange(60.0), s=np.array(["p"] * 60))


def _npy(file: Any) -> None:
    np.save(file, np.ones((60, 2)))


WRITERS: dict[str, Callable[[Any], None]] = {
    ".parquet": _parquet,
    ".feather": _feather,
    ".npz": _npz,
    ".npy": _npy,
}


def read_all(path: Path) -> None:
    """Read every cell as it is and as a number."""
    for batch in open_table(path):
        names = list(batch.columns()) or ["a", "s"]
        for column in batch.columns().values():
            list(column)
        batch.numeric(names[:1] if batch.columns() else names)


@pytest.mark.parametrize("suffix", [".npy", ".npy.gz"])
def test_a_second_array_in_a_file_is_not_left_out_in_silence(tmp_path: Path, suffix: str) -> None:
    """np.save may write several arrays into one file, of which np.load reads the first."""
    path = tmp_path / f"t{suffix}"
    with gzip.open(path, "wb") if suffix.endswith("gz") else path.open("wb") as file:
        _npy(file)
        _npy(file)
    with pytest.raises(TableError, match="more bytes after its first array: write one array"):
        open_table(path)


@pytest.mark.parametrize("suffix", WRITERS)
@given(data=st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_files_read_or_are_one_line(tmp_path: Path, suffix: str, data: Any) -> None:
    """Bytes of a valid file are changed, added or removed anywhere."""
    file = io.BytesIO()
    WRITERS[suffix](file)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        size = data.draw(st.sampled_from([1, 1, 1, 4, len(content)]))
        content[at : at + size] = data.draw(st.binary(max_size=4))
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    said = _complaint(path)
    assert "\n" not in said
    assert not said or str(path) in said


def _complaint(path: Path) -> str:
    try:
        read_all(path)
    except RnvpError as error:
        return str(error)
    return ""


def test_an_encrypted_npz_is_refused(tmp_path: Path) -> None:
    """The reader checks the encryption flag before it reads the content."""
    path = tmp_path / "t.npz"
    np.savez(path, a=np.ones(3))
    content = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(TableError, match="is encrypted: write it without a password"):
        open_table(path)


@pytest.mark.parametrize("name", ["t.npz", "t.npy.gz", "t.npy.zst", "t.zip"])
def test_a_small_file_that_expands_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The expanded size has a limit, and beyond it the ratio has one."""
    monkeypatch.setattr(compression, "LIMIT_BYTES", 1 << 20)
    array, raw = np.zeros((1 << 20, 2)), io.BytesIO()
    np.save(raw, array)
    path = tmp_path / name
    if name == "t.npz":
        np.savez_compressed(path, x=array)
    elif name == "t.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("t.npy", raw.getvalue())
    else:
        codec = compression.CODECS[path.suffix]
        with path.open("wb") as file, codec.writing(file) as stream:
            stream.write(raw.getvalue())
    assert path.stat().st_size < 1 << 16
    with pytest.raises(TableError, match="expands to more than 1 MiB and 200 times its size"):
        open_table(path)


def test_a_header_cannot_claim_more_than_the_file_holds(tmp_path: Path) -> None:
    """The reader refuses the file and allocates no memory for the claimed size."""
    header = io.BytesIO()
    shape = (1 << 40, 2)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    (tmp_path / "t.npy").write_bytes(header.getvalue() + bytes(64))
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(64))
    for name in ("t.npy", "t.npz"):
        with pytest.raises(TableError, match=r"t\.np[yz]"):
            open_table(tmp_path / name)


def test_compressed_text_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """The rows before the cut are not returned as the whole table."""
    text = "a,b\n" + "".join(f"{i},{i * i}\n" for i in range(2000))
    for suffix in (".gz", ".bz2", ".xz", ".zst"):
        path = tmp_path / f"t.csv{suffix}"
        with path.open("wb") as file, compression.CODECS[suffix].writing(file) as stream:
            stream.write(text.encode())
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(TableError, match=r"t\.csv"):
            read_all(path)


TEXT = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(2000))
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
}


@pytest.mark.parametrize("suffix", COMPRESS)
@given(data=st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_streams_of_a_compressed_file_are_read(tmp_path: Path, suffix: str, data: Any) -> None:
    """The text may be cut at any bytes into streams, and padded where the format permits it."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(TEXT)), max_size=3)))
    zeros = {".gz": st.integers(0, 9), ".xz": st.integers(0, 3).map(lambda n: 4 * n)}
    content = b""
    for low, high in zip([0, *cuts], [*cuts, len(TEXT)], strict=True):
        content += COMPRESS[suffix](TEXT[low:high])
        content += bytes(data.draw(zeros.get(suffix, st.just(0))))
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(content)
    assert sum(len(batch) for batch in open_table(path)) == 2000


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("spoil", ["first byte", "cut", "text", "one byte"])
def test_no_rows_are_lost_behind_a_damaged_stream(tmp_path: Path, suffix: str, spoil: str) -> None:
    """What follows the first stream is another whole one, or an error."""
    path, last = tmp_path / f"t.csv{suffix}", COMPRESS[suffix](b"3,4\n")
    spoilt = {
        "first byte": bytes([last[0] ^ 1]) + last[1:],
        "cut": last[:-3],
        "text": b"3,4\n",
        "one byte": b"\xff",
    }
    path.write_bytes(COMPRESS[suffix](TEXT) + spoilt[spoil])
    with pytest.raises(TableError, match="cannot be read as a compressed file"):
        read_all(path)


def test_endless_devices_are_refused() -> None:
    """Zero bytes are not text, so the reader stops before it fills the memory."""
    if not Path("/dev/zero").exists():
        pytest.skip("this system has no /dev/zero")
    with pytest.raises(TableError, match="holds zero bytes"):
        open_table("/dev/zero")
