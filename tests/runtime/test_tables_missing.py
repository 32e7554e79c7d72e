"""Missing values: all table formats and data frames accept the same list of spellings."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnvp_runtime import InputError, TableError
from rnvp_runtime.inputs import rows_of
from rnvp_runtime.tables import SPELLINGS, open_table
from tests.runtime.test_tables_csv import parser  # noqa: F401

NAN = float("nan")


def numbers(path: Path, **options: Any) -> list[float]:
    """Read column a of a file."""
    batches = [batch.numeric(["a"])[:, 0] for batch in open_table(path, **options)]
    return np.concatenate(batches).tolist()


def column_of(frame: Any) -> list[float]:
    """Read column a of a data frame."""
    rows = rows_of(frame, "x", ["a"], np.float64)
    return rows.block(0, len(rows)).ravel().tolist()


def assert_same(found: list[float], expected: list[float]) -> None:
    """Compare two lists; NaN is equal to NaN here."""
    np.testing.assert_array_equal(found, expected)


LISTED = ["NA", "N/A", "NULL", "None", r"\N", "-", "#DIV/0!", "", "nan", "-nan(ind)", "<NA>", "?"]


@pytest.mark.parametrize("change", [str, str.lower, str.upper, str.title, " {} ".format])
def test_csv_knows_every_spelling(tmp_path: Path, parser: str, change: Any) -> None:  # noqa: F811
    """CSV cells may use any case and have white space around the spelling."""
    texts = [change(text) for text in (*LISTED, *sorted(SPELLINGS))]
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{text},1\n" for text in [*texts, "2.5"]))
    assert_same(numbers(tmp_path / "t.csv"), [NAN] * len(texts) + [2.5])


def test_typed_columns_of_text_know_every_spelling(tmp_path: Path) -> None:
    """A Parquet or numpy column of text may hold only missing values. Other text is refused."""
    texts = [*LISTED, *sorted(SPELLINGS)]
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        column = pa.array([*texts, None], pa.string()).cast(kind)
        pq.write_table(pa.table({"a": column}), tmp_path / "t.parquet")
        assert_same(numbers(tmp_path / "t.parquet"), [NAN] * (len(texts) + 1))
    np.savez(tmp_path / "t.npz", a=np.array(texts))
    assert_same(numbers(tmp_path / "t.npz"), [NAN] * len(texts))
    pq.write_table(pa.table({"a": ["NA", "red"]}), tmp_path / "t.parquet")
    with pytest.raises(TableError, match="column 'a', row 2: 'red' is string, not a number"):
        numbers(tmp_path / "t.parquet")


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_data_frames_know_every_spelling(make: Any) -> None:
    """Text columns of pandas, polars and pyarrow may hold only missing values."""
    texts = [*LISTED, *sorted(SPELLINGS), None]
    assert_same(column_of(make({"a": texts})), [NAN] * len(texts))
    with pytest.raises(InputError, match="row 2: 'red' is str"):
        column_of(make({"a": ["NA", "red"]}))


def test_objects_of_pandas_may_be_numbers_and_missing() -> None:
    """An object column of pandas may mix numbers and missing values."""
    assert_same(
        column_of(pd.DataFrame({"a": [1, "NA", None, pd.NA, 2.5]})), [1, NAN, NAN, NAN, 2.5]
    )


def test_a_parquet_column_of_nulls_is_missing(tmp_path: Path) -> None:
    """Every value of a column of type null is NaN, although the type is not numeric."""
    table = pa.table({"a": pa.nulls(2), "b": [1.0, 2.0]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert_same(numbers(tmp_path / "t.parquet"), [NAN, NAN])


TEXTS = [["1", "2"], ["1_000", "2"], ["1", "NA"], ["1.5", None], ["0x10"], ["inf"], ["red"]]
PANDAS = ["object", "string", "category", pd.ArrowDtype(pa.string())]
POLARS = [pl.String, pl.Categorical, pl.Object]
ARROW = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]


@pytest.mark.parametrize("texts", TEXTS)
def test_text_in_a_data_frame_is_never_a_number(texts: list[str | None]) -> None:
    """Columns of text are refused in every library and dtype, whatever the text looks like."""
    frames = [
        *(pd.DataFrame({"a": pd.Series(texts, dtype=kind)}) for kind in PANDAS),
        *(pl.DataFrame({"a": pl.Series(texts, dtype=kind)}) for kind in POLARS),
        *(pa.table({"a": pa.array(texts, pa.string()).cast(kind)}) for kind in ARROW),
    ]
    for frame in frames:
        with pytest.raises(InputError, match=f"x column 'a', row 1: '{texts[0]}' is .*not a numb"):
            column_of(frame)


class OfTheUser:
    """An object whose methods raise what they like."""

    def __str__(self) -> str:
        raise KeyError("text")


class NumberOfTheUser(float):
    """A number that cannot be converted."""

    def __float__(self) -> float:
        raise KeyError("number")


@pytest.mark.parametrize("make", [pd.Series, pl.Series], ids=["pandas", "polars"])
@pytest.mark.parametrize(
    "value",
    [
        *(10**400, Fraction(10**400), 10**5000, Decimal("sNaN"), NumberOfTheUser(1)),
        *(b"1", 1j, [1.0], {"a": 1}, np.zeros(2), np.array(1.0), date(2026, 1, 1), OfTheUser()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_float64_does_not_have_is_one_line(make: Any, value: Any) -> None:
    """The error names the row, for any object in a column of objects."""
    objects = np.empty(3, object)
    objects[:] = [1.5, None, None]
    objects[2] = value
    dtype = object if make is pd.Series else pl.Object
    frame = (pd if make is pd.Series else pl).DataFrame({"a": make(objects.tolist(), dtype=dtype)})
    with pytest.raises(
        InputError, match=r"x column 'a', row 3: .* is .*: (correct|convert)"
    ) as said:
        column_of(frame)
    assert len(str(said.value)) < 200


@pytest.mark.parametrize("second", [None, 2])
@pytest.mark.parametrize("dtype", ["Int128", "UInt128"])
def test_integers_that_numpy_does_not_have_are_numbers(dtype: str, second: int | None) -> None:
    """polars has integers of 128 bits."""
    if not hasattr(pl, dtype):
        pytest.skip(f"this polars has no {dtype}")
    frame = pl.DataFrame({"a": pl.Series([1, second, 2**100], dtype=getattr(pl, dtype))})
    assert_same(column_of(frame), [1, second or NAN, 2.0**100])


@pytest.mark.parametrize(
    "series",
    [
        pl.Series([{"a": 1}, {"a": 2}]),
        pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)),
        pl.Series([[1], [2]], dtype=pl.Array(pl.Int64, 1)),
        pl.Series([date(2026, 1, 1)]),
        pd.Series([date(2026, 1, 1)], dtype="datetime64[ns]"),
        pd.Series([1j]),
    ],
    ids=lambda series: str(series.dtype),
)
def test_a_column_of_another_type_is_named_with_it(series: Any) -> None:
    """Neither the shape nor the type of such a column passes for another fault."""
    make = pl.DataFrame if isinstance(series, pl.Series) else pd.DataFrame
    with pytest.raises(InputError, match=r"x column 'a' has dtype .*, expected numbers"):
        column_of(make({"a": series}))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "a", "b"]),
        pa.table([[1.0], [2.0], [3.0]], names=["a", "a", "b"]),
        pa.RecordBatch.from_arrays([pa.array([1.0])] * 3, names=["a", "a", "b"]),
    ],
    ids=["pandas", "table", "batch"],
)
def test_a_name_of_several_columns_is_refused_where_it_is_read(frame: Any) -> None:
    """The other columns of the frame can be read."""
    with pytest.raises(InputError, match="x has more than one column 'a': rename one"):
        column_of(frame)
    assert len(rows_of(frame, "x", ["b"], np.float64)) == 1


def test_a_number_and_a_text_may_be_the_same_name() -> None:
    """Names are compared as text, so that 0 and '0' are one name of two columns."""
    frame = pd.DataFrame([[1.0, 2.0]], columns=[0, "0"])
    with pytest.raises(InputError, match="more than one column '0'"):
        rows_of(frame, "x", ["0"], np.float64)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([Decimal("1.5"), None, Decimal("2.25")]),
        pa.array([1.5, None, 2.25]).dictionary_encode(),
        pa.array([np.float16(1.5), None, np.float16(2.25)], pa.float16()),
        pa.array([1.5, None, 2.25]),
    ],
    ids=["decimal", "dictionary", "float16", "double"],
)
def test_frames_are_read_as_files_are(tmp_path: Path, column: Any) -> None:
    """Decimals and dictionaries of numbers give the same values in files and data frames."""
    table = pa.table({"a": column})
    pq.write_table(table, tmp_path / "t.parquet")
    expected = [1.5, NAN, 2.25]
    assert_same(numbers(tmp_path / "t.parquet"), expected)
    assert_same(column_of(table), expected)
    assert_same(column_of(table.to_pandas()), expected)
    if not pa.types.is_dictionary(column.type):  # polars has dictionaries of text only
        assert_same(column_of(pl.from_arrow(table)), expected)


def test_a_user_adds_spellings(tmp_path: Path, parser: str) -> None:  # noqa: F811
    """The user may add text and numbers. A number matches in every notation of it."""
    options = {"missing": ["-999", "not measured"]}
    (tmp_path / "t.csv").write_text("a\n1\n-999\n-999.0\n-9.99e2\nNot Measured\nNA\n2\n")
    assert_same(numbers(tmp_path / "t.csv", **options), [1, NAN, NAN, NAN, NAN, NAN, 2])
    with pytest.raises(TableError, match="'Not Measured' is not a number"):
        numbers(tmp_path / "t.csv")


def test_a_number_that_is_missing_is_so_in_typed_columns(tmp_path: Path) -> None:
    """An added number is missing in columns of any numeric type."""
    options = {"missing": ["-999"]}
    pq.write_table(pa.table({"a": [1, -999, 2]}), tmp_path / "t.parquet")
    np.save(tmp_path / "t.npy", np.array([[1], [-999], [2]], "f4"))
    np.savez(tmp_path / "t.npz", a=np.array([1, -999, 2]))
    for name in ("t.parquet", "t.npy", "t.npz"):
        assert_same(numbers(tmp_path / name, **options), [1, NAN, 2])
