"""The reader and writer of ``TensorProto`` files agree with the onnx package."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from rnvp_runtime import BundleError
from rnvp_runtime.bundle.protobuf import encoded
from rnvp_runtime.bundle.tensor_proto import parse, read, serialize

ARRAYS = [
    np.array([[1.5, -2.0], [np.nan, np.inf]], np.float32),
    np.linspace(0, 1, 7),
    np.array(-5, np.int64),
    np.empty((0, 3), np.float32),
    np.array([True, False]),
    np.array([2**64 - 1], np.uint64),
    np.array([0.5], np.float16),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_what_onnx_writes_is_read(array: np.ndarray) -> None:
    """Shape, dtype and bits are those that onnx wrote."""
    found = parse(numpy_helper.from_array(array, "name").SerializeToString())
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array, strict=True)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_onnx_reads_what_is_written(array: np.ndarray) -> None:
    """onnx reads the same array from the bytes of `serialize`."""
    found = numpy_helper.to_array(TensorProto.FromString(serialize(array, "name")))
    np.testing.assert_array_equal(found, array, strict=True)


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE", "INT64", "INT32", "UINT64", "BOOL", "FLOAT16"])
def test_typed_fields_are_read_as_raw_ones(kind: str) -> None:
    """Some writers use float_data, int64_data and similar fields instead of raw_data."""
    tensor = helper.make_tensor("t", getattr(TensorProto, kind), [3], [0, 1, 1])
    np.testing.assert_array_equal(parse(tensor.SerializeToString()), [0, 1, 1])


def test_negative_integers_are_read() -> None:
    """Varints hold int64 in two's complement."""
    tensor = helper.make_tensor("t", TensorProto.INT64, [2], [-1, -(2**63)])
    assert parse(tensor.SerializeToString()).tolist() == [-1, -(2**63)]


def test_every_cut_is_refused() -> None:
    """A message that is cut anywhere gives a ValueError and no array."""
    message = serialize(np.arange(40, dtype=np.float32).reshape(5, 8))
    for end in range(len(message)):
        with pytest.raises(ValueError, match=r"."):
            parse(message[:end])


def test_files_that_are_not_a_tensor_are_bundle_errors(tmp_path: Path) -> None:
    """The error names the missing or damaged file."""
    with pytest.raises(BundleError, match="is missing"):
        read(tmp_path / "input_0.pb")
    (tmp_path / "input_0.pb").write_bytes(b"not a tensor")
    with pytest.raises(BundleError, match="is not a tensor"):
        read(tmp_path / "input_0.pb")


def test_absurd_dimensions_are_refused() -> None:
    """100,000 dimensions of 2^40 are refused before they are multiplied, packed or not."""
    packed = encoded(1, b"\x80\x80\x80\x80\x80\x20" * 100_000)
    one_by_one = encoded(1, 2**40) * 100_000
    for dims in (packed, one_by_one):
        with pytest.raises(ValueError, match="more than 8 dimensions"):
            parse(dims + encoded(2, 1))


def test_a_typed_field_of_half_a_number_is_refused() -> None:
    """Readers differ on whether the next part completes the number."""
    parts = encoded(4, b"\0\0") * 2
    with pytest.raises(ValueError, match="2 bytes in field 4"):
        parse(encoded(1, 1) + encoded(2, 1) + parts)
