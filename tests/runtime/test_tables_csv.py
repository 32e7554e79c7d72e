"""CSV is read strictly, gives equal cells with and without pyarrow, and is written safely."""

import csv
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rnvp_runtime import TableError
from rnvp_runtime.tables import csv_parsing, csv_records, csv_writer, open_table, open_writer

PARSERS = ("pyarrow", "python")


@contextmanager
def parsing_by(parser: str, block_bytes: int = 4 << 20) -> Iterator[None]:
    """Use ``parser`` to parse and format every block of any size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_records, "BLOCK_BYTES", block_bytes)
        patch.setattr(csv_parsing, "ARROW_BYTES", 0)
        patch.setattr(csv_writer, "ARROW_ROWS", 0)
        if parser == "python":
            patch.setitem(sys.modules, "pyarrow", None)
        yield


@pytest.fixture(params=PARSERS)
def parser(request: Any) -> Iterator[str]:
    """The test runs once with each parser."""
    with parsing_by(request.param):
        yield request.param


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a file and returns its path."""

    def make(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def cells(path: Path, **options: Any) -> dict[str, list[str]]:
    """Read every cell as text."""
    batches = [batch.columns() for batch in open_table(path, **options)]
    return {name: [c for columns in batches for c in columns[name]] for name in batches[0]}


def numbers(path: Path, names: list[str], **options: Any) -> Any:
    """Read columns as numbers."""
    return np.concatenate([batch.numeric(names) for batch in open_table(path, **options)])


def outcome(path: Path) -> Any:
    """The columns, the cells and the numbers of a table, or the errors."""
    try:
        table = open_table(path)
        found: list[Any] = [table.columns, cells(path)]
    except TableError as error:
        return str(error)
    for name in table.columns or ():
        try:
            found.append(np.array2string(numbers(path, [name]), threshold=10**9))
        except TableError as error:
            found.append(str(error))
    return found


HOSTILE = st.text('ab1,;"\n\r\t .-+eN_', max_size=60)
CELL = st.sampled_from(
    [
        *("1", "-2.5e3", "", "NA", "n/a", "nan", "nan(x)", "inf", " 3 ", "+4", "1_0", "1e999"),
        *("0x1", "\\N", "-", "x", '"5"', '"a,b"', '"a""b"', '"a\nb"', "1,5", "٣", "é", "#DIV/0!"),
        *('5"', "'"),
    ]
)


@given(st.one_of(HOSTILE, st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=6)))
@example('"1"\n"2"x\n3\n')
@example("1,2\r\n\r\n3,4\r\n")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_parsers_see_the_same_table(write: Any, body: Any) -> None:
    """Cells, numbers and errors are equal with and without pyarrow, for blocks of any size."""
    text = body if isinstance(body, str) else "".join(f"{a},{b}\n" for a, b in body)
    path = write(f"a,b\n{text}")
    outcomes = []
    for parser in PARSERS:
        for size in (4 << 20, 5):
            with parsing_by(parser, size):
                outcomes.append(outcome(path))
    assert all(other == outcomes[0] for other in outcomes), text


@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), min_size=1, max_size=8))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_survives_being_written_and_read(write: Any, rows: list[list[str]]) -> None:
    """Cells may hold quotes, separators, line ends and all of Unicode except zero bytes."""
    rows = [[cell.replace("\0", "") for cell in row] for row in rows]
    columns = {"a": [row[0] for row in rows], "b": [row[1] for row in rows]}
    for parser in PARSERS:
        with parsing_by(parser):
            path = write("")
            with open_writer(path) as writer:
                writer.write(columns)
            assert cells(path) == columns


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_header_may_be_longer_than_a_cell(write: Any, mark: str) -> None:
    """A table may have as many columns as fit into a header of 1 MiB, and no more."""
    names = ["a", *(f"column {i}" for i in range(20_000))]
    path = write(f"{mark.join(names)}\n{mark.join(['5'] * len(names))}\n")
    assert open_table(path).columns == tuple(names)
    assert numbers(path, ["a"]).tolist() == [[5]]
    names = [f"a long name of a column {i}" for i in range(50_000)]
    with pytest.raises(TableError, match="has a header of more than 1 MiB: shorten it"):
        open_table(write(mark.join(names) + "\n1\n"))


@pytest.mark.parametrize("head", ["", "a,b\n", "sep=|\na|b\n"])
def test_a_cell_beyond_the_limit_is_told_from_an_open_quote(
    write: Any, parser: str, head: str
) -> None:
    """The error names the line where the record begins, in the header and in the rows."""
    line = head.count("\n") + 1
    for cell, said in (
        ("x" * 140_000, "a cell .* has more than 131,072 characters: shorten it"),
        ('"' + "1,2\n" * 50_000, "a quoted cell .* does not end within 131,072 characters: close"),
        ('"' + "1,2\n" * 50, "a quoted cell .* does not end: close it with a quote"),
    ):
        with pytest.raises(TableError, match=f"line {line}: {said}"):
            cells(write(f"{head}{cell}"))


@pytest.mark.parametrize("mark", list(",;\t|~: 'x"))
@pytest.mark.parametrize("names", [["a", "b"], ["a,1,2,3", "b"], ["a;1;2;3", "b"], ["a"]], ids=str)
def test_a_table_keeps_a_separator_with_which_it_is_read_again(
    write: Any, parser: str, mark: str, names: list[str]
) -> None:
    """Written onto itself, a table has the same cells for any separator and any names."""
    columns = {name: ["1,5", "x;y|z~"] for name in names}
    path = write("")
    with open_writer(path, delimiter="," if len(names) == 1 else mark) as writer:
        writer.write(columns)
    table = open_table(path)
    assert cells(path) == columns
    with open_writer(path, like=table) as writer:
        for batch in table:
            writer.write({**batch.columns(), "added": np.zeros(len(batch))})
    assert open_table(path).delimiter == table.delimiter  # type: ignore[attr-defined]
    assert cells(path) == {**columns, "added": ["0.0", "0.0"]}
    if names == ["a", "b"]:
        assert path.read_text().startswith("sep=") == (mark not in ",;\t")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('a,b\n1,"x\n2,y\n3,z\n', "line 2: a quoted cell of the record that begins there"),
        ('a,b\n1,2\n"x" y,3\n', "line 3: a quoted cell goes on after its closing quote"),
        ('a,b\n"one\ntwo",1\n"x"y,3\n', "line 4: a quoted cell goes on"),
        ('"a,b\n1,2\n', "line 1: a quoted cell"),
        ('"a"x,b\n1,2\n', "line 1: a quoted cell goes on"),
        ('sep=;\n"a;b\n1;2\n', "line 2: a quoted cell"),
        ('a,b\n1,2\n\n1, "x,y"\n', r"row 2 has 3 cells, the header 2 \(line 4\)"),
        ("a,b\n1,2\0\n", "holds zero bytes"),
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16 text"),
        ("a,b\n1,2\n".encode("utf-32"), "is UTF-32 text"),
        ("\ufeffa,b\n1,2\n".encode("utf-32-be"), "is UTF-32 text"),
        ("\ufeffa,b\n1,2\n".encode("utf-16-be"), "is UTF-16 text"),
    ],
)
def test_malformed_csv_is_refused_with_its_line(
    write: Any, parser: str, content: Any, said: str
) -> None:
    """The reader does not guess: an open quote would hide the rows after it."""
    with pytest.raises(TableError, match=said):
        cells(write(content))


def test_malformed_quotes_are_found_in_any_block(write: Any, parser: str) -> None:
    """Line numbers count from the start of the file."""
    with parsing_by(parser, 64):
        path = write('a,b\n"p\nq",2\n' + "1,2\n" * 500 + '3,"4"5\n')
        with pytest.raises(TableError, match="line 504: a quoted cell goes on"):
            cells(path)


def test_a_quote_inside_an_unquoted_cell_is_a_character(write: Any, parser: str) -> None:
    """For example 5" means five inches."""
    assert cells(write('a,b\n5" pipe,1\nx,2\n'))["a"] == ['5" pipe', "x"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_line_ends_of_every_system(write: Any, parser: str, end: str) -> None:
    """The last line end may be missing, and blank lines are skipped."""
    path = write(end.join(["a,b", "1,x", "", '2,"y,z"', "3,é"]))
    assert cells(path) == {"a": ["1", "2", "3"], "b": ["x", "y,z", "é"]}


@pytest.mark.parametrize("mark", [";", "|", " ", "~"])
@pytest.mark.parametrize("line", ["sep={}\n", '"sep={}"\r\n', "\ufeffSEP={}\n"])
def test_a_first_line_names_the_separator(write: Any, parser: str, mark: str, line: str) -> None:
    """Excel reads and writes such a line."""
    path = write(f"{line.format(mark)}a,x{mark}b\n1{mark}2,5\n")
    assert open_table(path).columns == ("a,x", "b")
    assert cells(path) == {"a,x": ["1"], "b": ["2,5"]}


def test_a_header_may_hold_line_ends_and_separators(write: Any, parser: str) -> None:
    """Such a name stands in quotes."""
    path = write('"price\n(EUR; net)",b\n1,2\n')
    assert cells(path) == {"price\n(EUR; net)": ["1"], "b": ["2"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a b  c\n1 2  3\n", r"is separated by white space, .* pandas.read_csv\(TABLE, sep="),
        ("a|b\n1|2\n", r"is separated by '\|', .* put a first line sep=\|"),
    ],
)
def test_other_separators_are_named(write: Any, content: str, said: str) -> None:
    """The error says how to read the file."""
    with pytest.raises(TableError, match=said):
        open_table(write(content))


def test_a_single_column_of_words_is_a_table(write: Any) -> None:
    """A space within a name does not separate columns."""
    assert cells(write("full name\nAda Lovelace\n")) == {"full name": ["Ada Lovelace"]}


@pytest.mark.parametrize(
    ("cell", "others", "said"),
    [
        ("1,234", [], "write 1234 if the comma separates thousands, 1.234 if it is a decimal"),
        ("1,234", ["1,234,567"], "write it without thousands separators, 1234567"),
        ("1,234", ["0,5"], "write decimals with a point"),
        ("1,234.5", [], "write it without thousands separators, 1234.5"),
        ("1.234,5", [], "write it without thousands separators, 1234.5"),
        ("1 234", [], "write it without thousands separators, 1234"),
        ("2,5", [], "write decimals with a point"),
        ("a,b", [], "is not a number$"),
    ],
)
def test_commas_in_numbers_are_told_apart(
    write: Any, parser: str, cell: str, others: list[str], said: str
) -> None:
    """Two readings differ by a factor of 1000. If both are possible, the error names both."""
    path = write("a;b\n" + "".join(f"{text};1\n" for text in [cell, *others]))
    with pytest.raises(TableError, match=said):
        numbers(path, ["a"])


def test_booleans_are_numbers_in_every_format(write: Any, parser: str) -> None:
    """In a column of numbers the spellings of True and False are 1 and 0."""
    path = write('a,b,c\nTrue,0.5,yes\nfalse,1,True\n TRUE ,2,False\nNA,3,no\n"False",4,no\n')
    expected = [[1, 0.5], [0, 1], [1, 2], [np.nan, 3], [0, 4]]
    np.testing.assert_array_equal(numbers(path, ["a", "b"]), expected)
    np.testing.assert_array_equal(numbers(path, ["a"], missing=["false"])[[1, 4]], np.nan)
    with pytest.raises(TableError, match="column 'c', row 1: 'yes' is not a number"):
        numbers(path, ["c"])


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-log p", "@SUM(A1)", "\tx", "\r=1"])
def test_a_column_name_is_no_formula(tmp_path: Path, parser: str, name: str) -> None:
    """A spreadsheet shows the name as text, and the reader restores it."""
    path = tmp_path / "t.csv"
    with open_writer(path) as writer:
        writer.write({name: np.ones(2), "b": np.ones(2)})
    first, _ = next(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
    assert first == f"'{name}"
    assert open_table(path).columns == (name, "b")


def test_cells_are_copied_as_they_stand(write: Any, tmp_path: Path, parser: str) -> None:
    """Cells keep their quotes and digits, and only log_prob is new text."""
    path = write('id,a\n007,1.50\n"a ""b""","2"\n"x\ny", 3 \n')
    with open_writer(tmp_path / "out.csv") as writer:
        for batch in open_table(path):
            writer.write({**batch.columns(), "log_prob": np.arange(3, dtype="f4")})
    expected = 'id,a,log_prob\n007,1.50,0.0\n"a ""b""","2",1.0\n"x\ny", 3 ,2.0\n'
    assert (tmp_path / "out.csv").read_text() == expected


@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "?"])
def test_numbers_are_written_to_the_same_text(tmp_path: Path, kind: str) -> None:
    """The text has the fewest digits that identify the number, with and without pyarrow."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**63, 4000, np.uint64) * np.uint64(2)
    spread = [bits.view(np.float64), rng.normal(size=4000), 10.0 ** np.arange(-30, 30)]
    spread += [rng.normal(size=2000) * 10.0 ** rng.integers(-5, 9, 2000)]
    values = np.concatenate([*spread, [0.0, -0.0, np.nan, np.inf, -np.inf, 1e15, 1e16, 1e-4, 1e-5]])
    with np.errstate(all="ignore"):
        values = np.nan_to_num(values).astype(kind) if kind in ("i4", "?") else values.astype(kind)
    for parser in PARSERS:
        with parsing_by(parser), open_writer(tmp_path / f"{parser}.csv") as writer:
            writer.write({"a": values})
    texts = [(tmp_path / f"{parser}.csv").read_text().split()[1:] for parser in PARSERS]
    assert texts == [[str(value) for value in values]] * 2
