"""The four commands: what they write, what they print, and their exit codes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import rnvp_runtime
from rnvp_runtime import Manifest
from rnvp_runtime.commands.inspect import inspect
from rnvp_runtime.commands.sample import sample
from rnvp_runtime.commands.score import score
from rnvp_runtime.commands.verify import verify

Invoke = Callable[..., Result]
COMMANDS = {"sample": sample, "score": score, "verify": verify, "inspect": inspect}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command in an empty folder.

    Example: ``run("sample", bundle, "-n", 5)``.
    """
    monkeypatch.chdir(tmp_path)

    def invoke(name: str, *args: Any) -> Result:
        result = CliRunner().invoke(COMMANDS[name], [str(a) for a in args])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A CSV file of three rows with a column of text; its columns are in another order."""
    path = tmp_path / "table.csv"
    path.write_text("name,x1,c0,x0\na,-1.0,0,0.50\nb,3,1,2\nc,1.5,2,-4\n")
    return path


X = [[0.5, -1.0], [2.0, 3.0], [-4.0, 1.5]]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_gives_an_example(run: Invoke, name: str) -> None:
    """--help shows a command line to copy."""
    assert f"  rnvp-{name} model.rnvp" in run(name, "--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_path_that_is_not_a_bundle_is_one_line(run: Invoke, name: str) -> None:
    """The exit code is 1, stderr has one line and stdout is empty."""
    args = {"sample": ["-n", 1], "score": ["table.csv"]}.get(name, [])
    result = run(name, "none.rnvp", *args)
    said = "Error: none.rnvp does not exist; a bundle is a folder such as model.rnvp\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", said)


def test_sample_prints_csv(run: Invoke, bundle: Path) -> None:
    """Rows are printed on stdout, the seed and the rate on stderr."""
    result = run("sample", bundle, "-n", 3, "--seed", 7)
    expected = rnvp_runtime.load(bundle).sample(3, seed=7)
    lines = result.stdout.splitlines()
    assert lines[0] == "x0,x1"
    np.testing.assert_array_equal(
        [[np.float32(c) for c in r.split(",")] for r in lines[1:]], expected
    )
    assert "3 rows from 0, seed 7, " in result.stderr


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_sample_writes_the_rows_of_its_seed(run: Invoke, bundle: Path, suffix: str) -> None:
    """All formats hold the same rows, also over several batches."""
    run("sample", bundle, "-n", 70_000, "--seed", 7, "--start", 5, "-o", f"s{suffix}")
    read = {".npy": np.load, ".csv": pd.read_csv, ".parquet": pd.read_parquet}[suffix]
    expected = rnvp_runtime.load(bundle).sample(70_000, seed=7, start=5)
    np.testing.assert_array_equal(np.asarray(read(f"s{suffix}"), dtype=np.float32), expected)


def test_sample_draws_and_tells_a_seed(run: Invoke, bundle: Path) -> None:
    """Without --seed the command prints the seed that it used. That seed gives the same rows."""
    told = json.loads(run("sample", bundle, "-n", 9, "-o", "a.npy", "--json").stdout)
    run("sample", bundle, "-n", 9, "-o", "b.npy", "--seed", told["seed"])
    assert told["rows"] == 9
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))


def test_sample_adds_log_prob(run: Invoke, bundle: Path) -> None:
    """With --log-prob the last column is log_prob."""
    run("sample", bundle, "-n", 9, "--seed", 7, "--log-prob", "-o", "s.npy")
    found = np.load("s.npy")
    expected = rnvp_runtime.load(bundle).log_prob(found[:, :2])
    np.testing.assert_allclose(found[:, 2], expected, rtol=1e-5)


def test_sample_takes_context(run: Invoke, conditional_bundle: Path, table: Path) -> None:
    """One context serves all rows, or each row of a table gives one."""
    flow = rnvp_runtime.load(conditional_bundle)
    run("sample", conditional_bundle, "-n", 4, "--seed", 7, "--context", "2.5", "-o", "a.npy")
    np.testing.assert_array_equal(np.load("a.npy")[:, :2], flow.sample(4, seed=7, context=[2.5]))
    run("sample", conditional_bundle, "--context-from", table, "--seed", 7, "-o", "b.npy")
    expected = flow.sample(3, seed=7, context=[[0], [1], [2]])
    np.testing.assert_array_equal(np.load("b.npy"), np.c_[expected, [0, 1, 2]])


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([], 2, "give the number of rows, -n, or --context-from TABLE, not both"),
        (["-n", -1], 2, "-1 is not in the range x>=0"),
        (["-n", 5, "--json"], 2, "--json needs -o"),
        (["-n", 5, "-o", "s.txt"], 1, "name it one of .csv, .tsv, .parquet, .npy"),
        (["-n", 5, "--seed", 2**64], 1, "does not fit 64 bits"),
        (["-n", 5, "--context", "1"], 2, "the flow takes none"),
        (["-n", 5, "--temperature", "-1"], 1, "temperature is -1.0"),
    ],
)
def test_sample_refuses_what_does_not_fit(
    run: Invoke, bundle: Path, args: Any, code: int, said: str
) -> None:
    """The command prints the fault and writes no file."""
    result = run("sample", bundle, *args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert not list(Path().iterdir())


@pytest.fixture
def awkward_bundle(make_bundle: Any, reseal: Any) -> Path:
    """A bundle whose second column is called log_prob."""
    path: Path = make_bundle()
    reseal(path, dataclasses.replace(Manifest.read(path), columns=("x0", "log_prob")))
    return path


LEARNT = "Error: the flow itself learnt a column called log_prob: "


def test_sample_never_overwrites_a_column_by_log_prob(run: Invoke, awkward_bundle: Path) -> None:
    """--log-prob is refused if the flow has a column of that name, and no file is written."""
    result = run("sample", awkward_bundle, "-n", 3, "--log-prob", "-o", "s.csv")
    assert (result.exit_code, result.stderr) == (1, f"{LEARNT}sample without log_prob\n")
    assert not Path("s.csv").exists()


def test_score_says_that_the_flow_learnt_log_prob(run: Invoke, awkward_bundle: Path) -> None:
    """Renaming the column would not help, so the error recommends a .npy, which works."""
    Path("t.csv").write_text("x0,log_prob\n1,2\n")
    result = run("score", awkward_bundle, "t.csv", "-o", "s.csv")
    assert (result.exit_code, result.stderr.startswith(f"{LEARNT}write a .npy")) == (1, True)
    assert run("score", awkward_bundle, "t.csv", "-o", "s.npy").exit_code == 0


def test_sample_refuses_context_that_is_not_a_number(run: Invoke, conditional_bundle: Path) -> None:
    """NaN and infinity are refused; for a table the error names the rows."""
    Path("t.csv").write_text("c0,k\n1,a\n,b\ninf,c\n")
    result = run("sample", conditional_bundle, "--context-from", "t.csv")
    said = "Error: t.csv: 2 rows hold no finite number: 2, 3: correct them\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", said)
    for text in ("nan", "-inf"):
        result = run("sample", conditional_bundle, "-n", 2, f"--context={text}")
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"c0: '{text}' is not a finite number" in result.stderr


def test_score_keeps_the_table_and_adds_log_prob(run: Invoke, bundle: Path, table: Path) -> None:
    """Every column keeps its text, and the summary is on stderr."""
    result = run("score", bundle, table)
    found = [line.rsplit(",", 1) for line in result.stdout.splitlines()]
    assert [kept for kept, _ in found] == table.read_text().splitlines()
    expected = rnvp_runtime.load(bundle).log_prob(X)
    np.testing.assert_array_equal([np.float32(cell) for _, cell in found[1:]], expected)
    assert found[0][1] == "log_prob"
    assert f"log_prob: median {sorted(expected)[1]:.6g} nats" in result.stderr


def test_score_reads_context_from_the_table(
    run: Invoke, conditional_bundle: Path, table: Path
) -> None:
    """Context columns are found by name, like the columns of the data."""
    run("score", conditional_bundle, table, "-o", "s.npy")
    expected = rnvp_runtime.load(conditional_bundle).log_prob(X, [[0], [1], [2]])
    np.testing.assert_array_equal(np.load("s.npy"), expected)


def test_score_names_its_column(run: Invoke, bundle: Path, table: Path) -> None:
    """With --as NAME two flows can score one table. An existing name is refused."""
    assert run("score", bundle, table, "-o", table).exit_code == 0
    assert run("score", bundle, table, "-o", table, "--as", "second").exit_code == 0
    found = pd.read_csv(table)
    assert list(found)[-2:] == ["log_prob", "second"]
    np.testing.assert_array_equal(found.log_prob, found.second)
    for name, said in (("second", "has a column 'second' already"), ("x0", "learnt a column")):
        result = run("score", bundle, table, "-o", "s.csv", "--as", name)
        assert (result.exit_code, said in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.pt", "is a checkpoint, not a bundle: export it first, rnvp-export model.pt"),
        ("sampler.ts", "is one graph; a bundle is the whole folder of graphs"),
        ("density.onnx", "is one graph"),
        ("t.csv", "is a table; a bundle is a folder such as model.rnvp, and is given first"),
        ("thesis.tex", "is a file and not a zip file; a bundle is a folder such as model.rnvp"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_another_kind_of_file_in_place_of_the_bundle_is_named(
    run: Invoke, command: str, name: str, said: str
) -> None:
    """The error says what the file is, in one line."""
    Path(name).write_text("x")
    Path("table.csv").write_text("x0,x1\n1,2\n")
    args = {"sample": ["-n", 1], "score": ["table.csv"]}.get(command, [])
    result = run(command, name, *args)
    assert (result.exit_code, result.stderr.count("\n"), said in result.stderr) == (1, 1, True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.pt", "is a checkpoint, not a bundle: export it first"),
        ("sampler.ts", "is one graph"),
        ("t.npz", "is a table"),
    ],
)
def test_a_zip_archive_of_another_kind_is_named_too(run: Invoke, name: str, said: str) -> None:
    """PyTorch and numpy write zip archives, and a bundle may be one too."""
    np.savez(Path("archive.npz"), x=X)
    Path("archive.npz").rename(name)
    assert said in run("inspect", name).stderr


def test_score_of_npy_is_npy(run: Invoke, bundle: Path) -> None:
    """The input has shape (n, d) and the output (n,)."""
    np.save("x.npy", X)
    summary = json.loads(run("score", bundle, "x.npy", "-o", "s.npy", "--json").stdout)
    found = np.load("s.npy")
    np.testing.assert_array_equal(found, rnvp_runtime.load(bundle).log_prob(X))
    assert summary["rows"] == 3
    assert summary["mean_log_prob"] == pytest.approx(found.mean())


def test_score_of_npy_as_csv_names_the_columns(run: Invoke, bundle: Path) -> None:
    """The columns of a matrix get the names of the flow's columns."""
    np.save("x.npy", X)
    assert run("score", bundle, "x.npy").stdout.startswith("x0,x1,log_prob\n0.5,-1.0,")


def test_score_of_csv_as_parquet(run: Invoke, bundle: Path, table: Path) -> None:
    """The flow's columns become numbers; the others stay text."""
    run("score", bundle, table, "-o", "s.parquet")
    found = pq.read_table("s.parquet")
    kinds = {field.name: str(field.type) for field in found.schema}
    assert kinds == {
        "name": "string",
        "x1": "double",
        "c0": "string",
        "x0": "double",
        "log_prob": "float",
    }


def test_score_may_write_onto_its_input(run: Invoke, bundle: Path, table: Path) -> None:
    """The table gains a column in place. A second run is refused."""
    assert run("score", bundle, table, "-o", table).exit_code == 0
    scored = table.read_text()
    assert scored.startswith("name,x1,c0,x0,log_prob\n")
    result = run("score", bundle, table, "-o", table)
    assert result.exit_code == 1
    assert "has a column 'log_prob' already: rename it" in result.stderr
    assert table.read_text() == scored


@pytest.mark.parametrize("output", [[], ["-o", "s.csv"]], ids=["stdout", "file"])
def test_score_refuses_nan_rows(run: Invoke, bundle: Path, output: list[str]) -> None:
    """The error names the rows, and nothing is written or printed."""
    Path("t.csv").write_text("x0,x1\n1,2\n,3\n4,nan\n")
    result = run("score", bundle, "t.csv", *output)
    said = (
        "Error: t.csv: 2 rows hold no finite number: 2, 3: "
        "correct them, or pass --on-nonfinite keep, or drop\n"
    )
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", said)
    assert [path.name for path in Path().iterdir()] == ["t.csv"]


def test_score_can_keep_nan_rows(run: Invoke, bundle: Path) -> None:
    """The log_prob of such a row is NaN, and the mean leaves it out."""
    Path("t.csv").write_text("x0,x1\n1,2\n,3\n")
    result = run("score", bundle, "t.csv", "--nan", "keep", "-o", "s.npy", "--json")
    found = np.load("s.npy")
    assert np.isnan(found).tolist() == [False, True]
    assert json.loads(result.stdout)["mean_log_prob"] == pytest.approx(found[0])
    assert json.loads(result.stdout)["nan_rows"] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x0,y\n1,2\n", "t.csv has no column 'x1'"),
        ("x0,x1\n1,2\n1,red\n", "column 'x1', row 2: 'red' is not a number"),
    ],
)
def test_score_refuses_tables_that_do_not_fit(
    run: Invoke, bundle: Path, content: str, said: str
) -> None:
    """The error is one line, the exit code is 1, and the existing output stays."""
    Path("t.csv").write_text(content)
    Path("s.csv").write_text("before")
    result = run("score", bundle, "t.csv", "-o", "s.csv", "--force")
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert Path("s.csv").read_text() == "before"


def test_score_never_replaces_a_part_of_its_input(run: Invoke, bundle: Path) -> None:
    """A folder of tables is one table, so no file in it may be the output."""
    Path("data").mkdir()
    Path("data/a.csv").write_text("x0,x1\n1,2\n")
    for table in ("data", "data/*.csv"):
        result = run("score", bundle, table, "-o", "data/a.csv", "--force")
        assert (result.exit_code, "input: name another output" in result.stderr) == (1, True)
    assert Path("data/a.csv").read_text() == "x0,x1\n1,2\n"


@pytest.mark.parametrize("name", ["sample", "score"])
def test_an_existing_output_is_kept(run: Invoke, bundle: Path, name: str) -> None:
    """Only --force replaces it, and nothing is written into a bundle."""
    Path("t.csv").write_text("x0,x1\n1,2\n")
    args = [bundle, *({"sample": ["-n", 3], "score": ["t.csv"]}[name])]
    Path("kept.csv").write_text("years of work")
    result = run(name, *args, "-o", "kept.csv")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: kept.csv exists: pass --force to replace it, or name another output\n",
    )
    assert Path("kept.csv").read_text() == "years of work"
    assert run(name, *args, "-o", "kept.csv", "--force").exit_code == 0
    assert Path("kept.csv").read_text().startswith("x0,x1")
    inside = run(name, *args, "-o", bundle / "rows.csv", "--force")
    assert (inside.exit_code, "which is an input" in inside.stderr) == (1, True)


def test_sample_never_replaces_its_context(run: Invoke, conditional_bundle: Path) -> None:
    """The table of conditions is an input and is kept even with --force."""
    Path("t.csv").write_text("c0\n1\n")
    args = ["--context-from", "t.csv", "-o", "t.csv", "--force"]
    result = run("sample", conditional_bundle, *args)
    assert (result.exit_code, "is also an input" in result.stderr) == (1, True)
    assert Path("t.csv").read_text() == "c0\n1\n"


def test_verify_passes_a_sound_bundle(run: Invoke, bundle: Path) -> None:
    """Each check prints one line with a tick."""
    result = run("verify", bundle)
    assert result.exit_code == 0
    assert {line[0] for line in result.stdout.splitlines()} == {"✓"}
    assert "sampler log_prob" in result.stdout
    assert json.loads(run("verify", bundle, "--json").stdout)["passed"]


def test_verify_names_what_failed(run: Invoke, make_bundle: Any) -> None:
    """The line of an altered file has a cross, and the exit code is 1."""
    path = make_bundle()
    (path / "README.md").write_text("Another map.\n")
    result = run("verify", path)
    assert result.exit_code == 1
    assert "✗ README.md" in result.stdout
    assert "2 of 2 checks failed: README.md is altered" in result.stderr


def test_inspect_shows_a_card(run: Invoke, conditional_bundle: Path) -> None:
    """The card shows the flow, its graphs, its parity and the next commands."""
    said = run("inspect", conditional_bundle).stdout
    parts = "one affine map", "x0, x1", "c0", "float32", "x(n, 2) context(n, 1)", "nats"
    assert [part for part in parts if part not in said] == []
    assert f"rnvp-verify {conditional_bundle}" in said
    assert json.loads(run("inspect", conditional_bundle, "--json").stdout)["dim"] == 2


def _start(code: str, *args: Any, **options: Any) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)


SAMPLE = "from rnvp_runtime.commands.sample import sample; sample()"


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_an_interrupt_is_one_word(bundle: Path, tmp_path: Path) -> None:
    """Ctrl-C gives exit code 130, no traceback and no file."""
    process = _start(SAMPLE, bundle, "-n", 10**12, "-o", tmp_path / "s.csv")
    while not list(tmp_path.iterdir()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()  # otherwise the process would go on writing after a failure
    assert (process.returncode, said) == (130, b"Interrupted.\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="pipes are POSIX's")
def test_a_closed_pipe_is_quiet(bundle: Path) -> None:
    """``rnvp-sample ... | head`` prints no error."""
    process = _start(SAMPLE, bundle, "-n", 10**12, "--seed", 1, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"x0,x1\n"
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=20)


@pytest.mark.parametrize("file", ["t.csv", "t.parquet", "t.npy"])
def test_score_can_drop_rows_with_gaps(run: Invoke, bundle: Path, file: str) -> None:
    """The other rows get the same results, and the summary counts the dropped rows."""
    rows = np.array([[1.0, 2.0], [np.nan, 3.0], [np.inf, 4.0], [5.0, 6.0], [-np.inf, np.nan]])
    frame = pd.DataFrame(rows, columns=["x0", "x1"]).assign(note=["a", "b,", "c", 'd,"e', "f"])
    if file == "t.npy":
        np.save(file, rows)
    else:
        frame.to_csv(file, index=False) if file == "t.csv" else frame.to_parquet(file)
    output = file.replace("t.", "s.")
    result = run("score", bundle, file, "--on-nonfinite", "drop", "-o", output, "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert (summary["rows"], summary["nan_rows"], summary["dropped_rows"]) == (2, 0, 3)
    expected = rnvp_runtime.load(bundle).log_prob(rows[[0, 3]])
    if file == "t.npy":
        np.testing.assert_array_equal(np.load(output), expected)
        return
    found = pd.read_csv(output) if file == "t.csv" else pd.read_parquet(output)
    assert found["note"].tolist() == ["a", 'd,"e']
    np.testing.assert_allclose(found["log_prob"], expected, rtol=1e-6)


def test_score_may_drop_every_row(run: Invoke, bundle: Path) -> None:
    """The output is a table with a header and no rows."""
    Path("t.csv").write_text("x0,x1\nnan,1\n")
    result = run("score", bundle, "t.csv", "--on-nonfinite", "drop", "-o", "s.csv")
    assert result.exit_code == 0, result.stderr
    assert Path("s.csv").read_text().split() == ["x0,x1,log_prob"]


def test_score_refuses_infinities_as_it_does_nan(run: Invoke, bundle: Path) -> None:
    """The log_prob of infinity is not finite. If the row is kept, the mean leaves it out."""
    Path("t.csv").write_text("x0,x1\n1,2\ninf,3\n")
    result = run("score", bundle, "t.csv", "-o", "s.csv")
    assert (result.exit_code, Path("s.csv").exists()) == (1, False)
    assert "1 row holds no finite number: 2" in result.stderr
    kept = run("score", bundle, "t.csv", "-o", "s.csv", "--nan", "keep", "--json")
    summary = json.loads(kept.stdout, parse_constant=pytest.fail)
    assert summary["nan_rows"] == 1
    assert np.isfinite(summary["mean_log_prob"])


def test_score_says_of_a_list_column_that_text_cannot_hold_it(run: Invoke, bundle: Path) -> None:
    """The error names the column and recommends Arrow, which holds all types."""
    pd.DataFrame({"x0": [1.0], "x1": [2.0], "tags": [["a", "b"]]}).to_parquet("t.parquet")
    result = run("score", bundle, "t.parquet", "-o", "s.csv")
    assert (result.exit_code, Path("s.csv").exists()) == (1, False)
    assert "'tags' is list<element: string>, which has no text: write a .arrow" in result.stderr
    assert run("score", bundle, "t.parquet", "-o", "s.arrow").exit_code == 0
