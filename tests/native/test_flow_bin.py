"""``flow.bin`` is checked before anything is computed: each kind of damage has its own error."""

import ctypes
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnvp_deploy import RNVPConfig
from rnvp_exporters.errors import ExportError
from rnvp_exporters.native import flow_bin
from rnvp_exporters.native.flow_bin import HEADER, RECORD
from rnvp_runtime.errors import BundleError
from rnvp_runtime.native import NativeFlow
from rnvp_runtime.native.library import load_library
from tests.flows import lively

COUPLING, AFFINE, DENSE, ACTIVATION, RESIDUAL = 1, 3, 16, 17, 20


def kind_at(content: bytes, index: int) -> int:
    """The kind of a record."""
    return int(RECORD.unpack_from(content, HEADER.size + RECORD.size * index)[0])


def first(content: bytes, kind: int) -> int:
    """The index of the first record of a kind."""
    return next(i for i in range(1000) if kind_at(content, i) == kind)


def with_header(content: bytes, position: int, value: object) -> bytes:
    """The content with another value for a field of the header."""
    fields = list(HEADER.unpack_from(content))
    fields[position] = value
    return HEADER.pack(*fields) + content[HEADER.size :]


def with_record(content: bytes, kind: int, position: int, value: object) -> bytes:
    """The content with another value for a field of the first record of a kind."""
    at = HEADER.size + RECORD.size * first(content, kind)
    fields = list(RECORD.unpack_from(content, at))
    fields[position] = value
    return content[:at] + RECORD.pack(*fields) + content[at + RECORD.size :]


def offset(content: bytes, kind: int) -> int:
    """The offset of the arrays of the first record of a kind."""
    at = HEADER.size + RECORD.size * first(content, kind)
    return int(RECORD.unpack_from(content, at)[10])


def with_bytes(content: bytes, at: int, new: bytes) -> bytes:
    """The content with other bytes at ``at``."""
    return content[:at] + new + content[at + len(new) :]


def with_number(content: bytes, kind: int, value: float) -> bytes:
    """The content with another first weight in the first record of a kind."""
    return with_bytes(content, offset(content, kind), struct.pack("<f", value))


DAMAGE = {
    "nothing": (lambda c: b"", "0 bytes are too few for a flow.bin"),
    "a header cut short": (lambda c: c[:63], "63 bytes are too few"),
    "another file": (lambda c: b"PK" + c[2:], "first 8 bytes are not RNVPFLOW"),
    "a later version": (lambda c: with_header(c, 1, 2), "format version 2, this library reads"),
    "another number type": (lambda c: with_header(c, 2, 3), "number type 3 is not known"),
    "an end cut off": (lambda c: c[:-64], "was written with"),
    "more at the end": (lambda c: c + bytes(64), "was written with"),
    "no columns": (lambda c: with_header(c, 4, 0), "0 columns and 1 of context"),
    "too many columns": (lambda c: with_header(c, 4, 2**16 + 1), "65537 columns"),
    "too many records": (lambda c: with_header(c, 6, 2**16 + 1), "65537 records"),
    "records past the end": (lambda c: with_header(c, 6, 60_000), "60000 records end at byte"),
    "a used reserved field": (lambda c: with_header(c, 9, 1), "of the header are not zero"),
    "a constant of NaN": (lambda c: with_header(c, 8, np.nan), "constant of log_prob"),
    "an unknown step": (lambda c: with_record(c, AFFINE, 0, 9), "a step of kind 9 is not known"),
    "an unknown layer": (lambda c: with_record(c, DENSE, 0, 99), "a layer of kind 99"),
    "an unknown activation": (lambda c: with_record(c, ACTIVATION, 3, 22), "activation 22"),
    "an unknown scale": (lambda c: with_record(c, COUPLING, 3, 8), "scale function 8"),
    "an unknown flag": (lambda c: with_record(c, COUPLING, 4, 8), "unknown flags 8"),
    "widths that do not fit": (lambda c: with_record(c, DENSE, 1, 3), "takes 3 columns"),
    "a step of no columns": (lambda c: with_record(c, AFFINE, 2, 0), "0 columns, expected 1"),
    "an affine of one column": (lambda c: with_record(c, AFFINE, 1, 1), "1 columns in and 2 out"),
    "a network too long": (lambda c: with_record(c, COUPLING, 5, 2**31), "a network of 2147483648"),
    "a body too long": (lambda c: with_record(c, RESIDUAL, 5, 9), "record"),
    "an offset elsewhere": (lambda c: with_record(c, DENSE, 10, 64), "said to begin at byte 64"),
    "a parameter of NaN": (
        lambda c: with_record(c, COUPLING, 8, np.nan),
        "parameter is not finite",
    ),
    "a weight of NaN": (lambda c: with_number(c, DENSE, np.nan), "weight 0 is not finite"),
    "an infinite weight": (lambda c: with_number(c, DENSE, np.inf), "weight 0 is not finite"),
    "a scale of 0": (
        lambda c: with_bytes(c, offset(c, AFFINE) + 64, bytes(4)),
        "number 0 of a scale is not finite and positive",
    ),
    "a column named twice": (
        lambda c: with_bytes(c, HEADER.size + RECORD.size * HEADER.unpack_from(c)[6], bytes(8)),
        "column 0 is named twice",
    ),
    "a column that is not there": (
        lambda c: with_bytes(c, offset(c, COUPLING), struct.pack("<I", 7)),
        "column 7 is named twice, or is not below 2",
    ),
    "something between arrays": (
        lambda c: with_bytes(c, offset(c, AFFINE) + 8, b"\1"),
        "between arrays, is not zero",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused_in_one_line(damage: str, tiny: bytes) -> None:
    """The error says in one line what was found."""
    damaged, said = DAMAGE[damage]
    with pytest.raises(BundleError, match=said) as raised:
        NativeFlow(damaged(tiny))
    assert "\n" not in str(raised.value)


@given(data=st.data())
def test_a_flow_with_one_byte_changed_is_refused_or_runs(tiny: bytes, data: st.DataObject) -> None:
    """A change of any byte gives a BundleError or a flow that runs."""
    at = data.draw(st.integers(0, len(tiny) - 1))
    value = data.draw(st.integers(0, 255))
    try:
        flow = NativeFlow(with_bytes(tiny, at, bytes([value])), gradient=True)
    except BundleError:
        return
    x, context = np.zeros((3, flow.dim), flow.dtype), np.zeros((3, flow.context_dim), flow.dtype)
    given_context = context if flow.context_dim else None
    flow.forward(x, given_context)
    flow.inverse(x, given_context)
    flow.gradient(x, given_context)


@given(cut=st.integers(0, 10_000))
def test_a_flow_cut_anywhere_is_refused(tiny: bytes, cut: int) -> None:
    """Every proper prefix of flow.bin is refused."""
    with pytest.raises(BundleError):
        NativeFlow(tiny[: cut % len(tiny)])


def test_residual_blocks_may_be_nested_eight_deep() -> None:
    """A ninth level of residual blocks is refused."""
    from rnvp_deploy import ir
    from rnvp_exporters.native import encode

    def nested(depth: int) -> ir.Network:
        inner: ir.Network = (ir.Dense(np.eye(2), np.zeros(2)),)
        for _ in range(depth):
            inner = (ir.Residual(inner),)
        return inner

    def flow(depth: int) -> bytes:
        coupling = ir.Coupling((0, 1), (2, 3), {"mu": nested(depth)})
        return encode(ir.Flow(4, 0, (coupling,)))

    NativeFlow(flow(8))
    with pytest.raises(BundleError, match="more than 8 residual blocks"):
        NativeFlow(flow(9))


def test_a_weight_beyond_float32_is_not_written() -> None:
    """The exporter refuses the weight in float32 and accepts it in float64."""
    flow = lively(RNVPConfig(dim=2, hidden=(4,), couplings=1))
    next(flow.transforms[-1].parameters()).data.fill_(1e300)
    with pytest.raises(ExportError, match="not finite as float32"):
        flow_bin(flow)
    NativeFlow(flow_bin(flow, "float64"))


@pytest.mark.parametrize("index", range(3))
def test_the_words_of_the_stream_are_the_known_answers(index: int) -> None:
    """The library gives the words of docs/stream-vectors.json, bit for bit."""
    import json
    from pathlib import Path

    vectors = json.loads((Path(__file__).parents[2] / "docs" / "stream-vectors.json").read_text())
    known = vectors["rows"][index::3]
    assert known
    words = (ctypes.c_uint32 * 4)()
    for row in known:
        for block, expected in enumerate(row["words"]):
            seed = int(row["seed"]) % 2**64
            load_library().rnvp_stream_words(seed, int(row["row"]), block, words)
            assert [f"{word:08x}" for word in words] == expected
