"""``rnvp-train`` on the command line: files, one-line errors, exit codes."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result

import rnvp_deploy
from rnvp_deploy.checkpoint import read_training
from rnvp_deploy.commands.train import train
from rnvp_deploy.commands.training_table import read_training_table
from rnvp_deploy.scales import Tanh
from rnvp_deploy.training import read_summary
from rnvp_runtime.tables import open_table

QUICK = ["--epochs", "2", "--couplings", "2", "--hidden", "8"]
DRAW = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, 20.0, 300.0] + [0.0, 60.0, 1000.0]
COLUMNS = ("carat", "depth", "price")


def run(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(train, [str(argument) for argument in arguments])


def write_csv(path: Path, rows: Any, columns: tuple[str, ...] = COLUMNS) -> Path:
    """A CSV file of the rows."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of numbers with one column of text."""
    rows = [[*row, "Ideal"] for row in DRAW.tolist()]
    return write_csv(tmp_path / "diamonds.csv", rows, (*COLUMNS, "cut"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The path of the checkpoint."""
    return tmp_path / "model.pt"


def test_a_table_becomes_a_checkpoint(table: Path, model: Path) -> None:
    """The flow has the table's column names; a text column is left out with a message."""
    result = run(table, "-o", model, *QUICK)
    assert result.exit_code == 0
    assert rnvp_deploy.load(model).columns == COLUMNS
    assert "Left out, text or empty: cut" in result.output
    assert f"{model}: " in result.output
    assert "nats a row on 20 held-out rows; a Gaussian: " in result.output
    assert " (epoch 2 of 2), in " in result.output
    assert f"Next: rnvp-export {model}" in result.output


def test_both_losses_are_shown_during_training(table: Path, model: Path) -> None:
    """Without a terminal the losses are plain lines."""
    result = run(table, "-o", model, *QUICK)
    epochs = [line for line in result.output.splitlines() if line.startswith("epoch ")]
    assert [line.split("  ")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert all("train " in line and "held out " in line for line in epochs)


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".npz", ".tsv"])
def test_tables_come_in_many_formats(suffix: str, table: Path, model: Path) -> None:
    """The same numbers give the same flow in every format."""
    path = table.with_suffix(suffix)
    if suffix == ".parquet":
        pq.write_table(pa.table(dict(zip(COLUMNS, DRAW.T, strict=True))), path)
    elif suffix == ".npy":
        np.save(path, DRAW)
    elif suffix == ".npz":
        np.savez(path, **dict(zip(COLUMNS, DRAW.T, strict=True)))
    else:
        path.write_text(table.read_text().replace(",", "\t"))
    assert run(table, "-o", model, *QUICK).exit_code == 0
    result = run(path, "-o", model.with_name("other.pt"), *QUICK)
    assert result.exit_code == 0, result.output
    one, other = rnvp_deploy.load(model), rnvp_deploy.load(model.with_name("other.pt"))
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_columns_and_context_are_chosen(table: Path, model: Path) -> None:
    """--columns gives the columns and their order, --context the context columns."""
    run(table, "-o", model, "--columns", "price,carat", "--context", "depth", *QUICK)
    flow = rnvp_deploy.load(model)
    assert (flow.columns, flow.context_columns) == (("price", "carat"), ("depth",))


def test_a_name_with_a_comma_is_quoted(table: Path, model: Path) -> None:
    """A list of columns is read as a line of CSV."""
    awkward = write_csv(table.with_name("awkward.csv"), DRAW, ("carat, metric", "depth", "price"))
    run(awkward, "-o", model, "--columns", '"carat, metric",price', *QUICK)
    assert rnvp_deploy.load(model).columns == ("carat, metric", "price")


def test_columns_are_chosen_by_pattern(table: Path, model: Path) -> None:
    """A pattern stands for the columns that match it, in the order of the table."""
    run(table, "-o", model, "--columns", "p*,*a*", "--exclude", "cut,de[op]th", *QUICK)
    assert rnvp_deploy.load(model).columns == ("price", "carat")


def test_a_name_is_not_a_pattern(model: Path) -> None:
    """A column whose name contains a star is found by its name."""
    table = write_csv(model.with_name("stars.csv"), DRAW, ("a*", "ab", "c"))
    run(table, "-o", model, "--columns", "a*,c", *QUICK)
    assert rnvp_deploy.load(model).columns == ("a*", "c")


def test_columns_are_excluded(table: Path, model: Path) -> None:
    """A column of text that is excluded is not mentioned."""
    result = run(table, "-o", model, "--exclude", "depth,cut", *QUICK)
    assert rnvp_deploy.load(model).columns == ("carat", "price")
    assert "Left out" not in result.output


def test_many_cells_of_text_are_counted(table: Path, model: Path) -> None:
    """The first five rows are named, over all batches of a long file."""
    rows: list[list[object]] = np.repeat(DRAW, 400, axis=0).tolist()
    for i in range(66_000, 80_000, 1000):
        rows[i][2] = "abc"
    result = run(write_csv(table, rows), "-o", model)
    assert "'price': 14 of 80,000 cells are not numbers, rows 66001, 67001" in result.output
    assert "and 9 more ('abc'): correct them, or leave the column out" in result.output


@pytest.mark.parametrize("spelling", ["", "NA", "n/a", "NULL", "None", "nan", "-", "?", "#N/A"])
def test_a_missing_value_has_many_spellings(spelling: str, model: Path) -> None:
    """A column that is missing throughout is left out; text beside missing values is text."""
    rows = [[*row, spelling, "Ideal" if i else spelling] for i, row in enumerate(DRAW.tolist())]
    table = write_csv(model.with_name("table.csv"), rows, (*COLUMNS, "notes", "cut"))
    result = run(table, "-o", model, *QUICK)
    assert "Left out, text or empty: notes, cut" in result.output
    assert rnvp_deploy.load(model).columns == COLUMNS


@pytest.mark.parametrize("gap", [False, True], ids=["whole", "with a gap"])
def test_a_column_of_booleans_is_the_same_in_every_format(gap: bool, model: Path) -> None:
    """A CSV file, a Parquet file and a data frame of booleans give the same columns and rows."""
    flags = [bool(i % 3) for i in range(len(DRAW))]
    columns = {**dict(zip(COLUMNS, DRAW.T, strict=True)), "sold": pa.array(flags)}
    frame = pa.table(columns)
    csv_table, parquet = model.with_name("t.csv"), model.with_name("t.parquet")
    rows = [[*row, flag] for row, flag in zip(DRAW.tolist(), flags, strict=True)]
    if gap:
        rows[5][3] = ""
        frame = pa.table({**columns, "sold": pa.array([*flags[:5], None, *flags[6:]])})
    write_csv(csv_table, rows, (*COLUMNS, "sold"))
    pq.write_table(frame, parquet)
    read = [read_training_table(path) for path in (csv_table, parquet)]
    assert [table.columns for table in read] == [(*COLUMNS, "sold")] * 2
    assert [table.left_out for table in read] == [()] * 2
    np.testing.assert_array_equal(read[0].x, read[1].x)


def test_a_constant_condition_is_warned_about(model: Path) -> None:
    """The command trains on it, also further, and says what the flow cannot learn."""
    table = write_csv(model.with_name("t.csv"), DRAW * [1, 0, 1] + [0, 0.1, 0])
    for output, options in (
        (model, ["--context", "depth", *QUICK]),
        (model.with_name("new.pt"), ["--warm-start", model, "--epochs", "1"]),
    ):
        result = run(table, "-o", output, *options)
        assert result.exit_code == 0, result.output
        assert "Warning: condition 'depth' is constant in these rows: the flow" in result.output


def test_a_column_without_a_name_is_left_out_for_that_reason(model: Path) -> None:
    """The index that pandas writes is numbers; the notice says that it has no name, and where."""
    for at in (0, 2):
        rows = [[*row[:at], i, *row[at:]] for i, row in enumerate(DRAW.tolist())]
        table = write_csv(model.with_name("t.csv"), rows, (*COLUMNS[:at], "", *COLUMNS[at:]))
        result = run(table, "-o", model, *QUICK, "--force")
        assert result.output.splitlines()[0] == f"Left out, it has no name: column {at + 1}"
        assert "text or empty" not in result.output
        assert rnvp_deploy.load(model).columns == COLUMNS


def test_what_was_left_out_is_said_before_the_error_about_what_remains(model: Path) -> None:
    """Where too few columns are left to learn, the reasons come first."""
    rows = [[i, row[0], "Ideal", ""] for i, row in enumerate(DRAW.tolist())]
    table = write_csv(model.with_name("t.csv"), rows, ("", "carat", "cut", "notes"))
    first, second, error = run(table, "-o", model, *QUICK).output.splitlines()
    assert first == "Left out, text or empty: cut, notes"
    assert second == "Left out, it has no name: column 1"
    assert error.startswith("Error: dim is 1: ")
    result = run(table, "-o", model, *QUICK, "--exclude", "carat")
    (error,) = result.output.splitlines()
    assert "no column of numbers to learn; it has carat, cut, notes. Left out, text or" in error
    assert error.endswith("cut, notes. Left out, it has no name: column 1")


@pytest.mark.parametrize("spelling", ["True", "true", "TRUE"])
def test_a_column_of_booleans_and_text_is_text(spelling: str, model: Path) -> None:
    """A column of booleans, text and missing values is left out, not an error."""
    words = ["maybe", spelling, "", spelling.swapcase()]
    rows = [[*row, words[i % 4]] for i, row in enumerate(DRAW.tolist())]
    read = read_training_table(write_csv(model.with_name("t.csv"), rows, (*COLUMNS, "sold")))
    assert (read.columns, read.left_out) == (COLUMNS, ("sold",))


def test_booleans_of_a_csv_file_are_scored(model: Path) -> None:
    """A flow that was trained on booleans of a CSV file scores them as 0 and 1."""
    rows = [[*row, i % 3 > 0] for i, row in enumerate(DRAW.tolist())]
    table = write_csv(model.with_name("t.csv"), rows, (*COLUMNS, "sold"))
    assert run(table, "-o", model, *QUICK, "--context", "sold").exit_code == 0
    flow = rnvp_deploy.load(model)
    (batch,) = open_table(table)
    np.testing.assert_array_equal(batch.numeric(["sold"])[:, 0], np.arange(len(DRAW)) % 3 > 0)
    assert flow.context_columns == ("sold",)


@pytest.mark.parametrize(("asked", "what"), [("cut", "text ('Ideal')"), ("notes", "nothing")])
def test_a_column_of_text_cannot_be_asked_for(asked: str, what: str, model: Path) -> None:
    """It is refused as a column to learn and as a condition."""
    rows = [[*row, "", "Ideal"] for row in DRAW.tolist()]
    table = write_csv(model.with_name("table.csv"), rows, (*COLUMNS, "notes", "cut"))
    for options in (["--columns", f"carat,{asked}"], ["--context", asked]):
        result = run(table, "-o", model, *options)
        assert result.exit_code == 1
        assert f"column '{asked}' holds {what}, expected numbers" in result.output


def test_integers_are_written_in_any_way(table: Path, model: Path) -> None:
    """The options accept 2e0 and 1_00 as integers."""
    options = ["--epochs", "2e0", "--batch-size", "1_00", "--seed", "1e3", "--hidden", "8"]
    assert run(table, "-o", model, *options).exit_code == 0
    recorded = read_training(model)["options"]
    assert (recorded["epochs"], recorded["batch_size"], recorded["seed"]) == (2, 100, 1000)


def test_degenerate_columns_are_named_before_training(model: Path) -> None:
    """The command also suggests the options that help."""
    draw = np.random.default_rng(0)
    rows = np.column_stack([draw.normal(9, 1, 300), draw.lognormal(8, 1, 300)])
    rows = np.column_stack([rows, draw.poisson(3, 300), rows[:, 0]])
    table = write_csv(model.with_name("table.csv"), rows, ("a", "price", "n_hits", "again"))
    result = run(table, "-o", model, *QUICK)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    warnings = [line for line in lines if line.startswith("Warning: ")]
    assert len(warnings) == 3
    assert lines.index(warnings[-1]) < min(i for i, line in enumerate(lines) if "epoch" in line)
    assert "Suggested options: --exclude again --integer n_hits --log price" in lines


def test_a_float64_flow_resolves_what_float32_cannot(model: Path) -> None:
    """The error of a float32 training recommends --dtype float64."""
    rows = DRAW + np.array([0.0, 0.0, 1e9])
    table = write_csv(model.with_name("table.csv"), rows)
    refused = run(table, "-o", model, *QUICK)
    assert refused.exit_code == 1
    assert "--dtype float64" in refused.output
    assert run(table, "-o", model, "--dtype", "float64", *QUICK).exit_code == 0
    assert rnvp_deploy.load(model).dtype == torch.float64


def test_a_context_leaves_the_other_columns_to_learn(table: Path, model: Path) -> None:
    """With --context alone, all other numbers are learnt."""
    run(table, "-o", model, "--context", "depth", *QUICK)
    assert rnvp_deploy.load(model).columns == ("carat", "price")


def test_the_flow_is_what_the_options_say(table: Path, model: Path) -> None:
    """Every option of the flow reaches its configuration."""
    options = "--couplings 3 --hidden 6,6 --mixing permute --actnorm --scale tanh:2"
    more = "--activation silu --residual --separate --seed 4 --epochs 1"
    assert run(table, "-o", model, *options.split(), *more.split()).exit_code == 0
    recipe = rnvp_deploy.RNVPConfig(
        dim=3, couplings=3, hidden=(6, 6), mixing="permute", actnorm=True, activation="silu",
        scale=Tanh(2.0), residual=True, joint=False, seed=4,
    )  # fmt: skip
    assert rnvp_deploy.load(model).spec == recipe.spec()


def test_the_same_seed_gives_the_same_file(table: Path, tmp_path: Path) -> None:
    """The files are equal byte for byte, and another seed gives another file."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.rand(3)  # torch's own generator has no effect
        run(table, "-o", tmp_path / f"{name}.pt", "--seed", seed, *QUICK)
    a, b, c = ((tmp_path / f"{name}.pt").read_bytes() for name in "abc")
    assert a == b != c


def test_resuming_gives_the_file_of_an_uninterrupted_training(table: Path, model: Path) -> None:
    """--max-seconds stops the training after one epoch, and --resume continues it."""
    whole = model.with_name("whole.pt")
    quick = ["--epochs", "5", "--couplings", "2", "--hidden", "8"]
    run(table, "-o", whole, *quick)
    run(table, "-o", model, "--max-seconds", "1e-9", *quick)
    assert len(read_training(model)["losses"]) == 1
    assert run(table, "--resume", model).exit_code == 0
    assert model.read_bytes() == whole.read_bytes()


def test_a_checkpoint_is_trained_further_on_new_rows(table: Path, model: Path) -> None:
    """--warm-start keeps the columns, the architecture and the standardisation."""
    run(table, "-o", model, "--columns", "price,carat", "--context", "depth", *QUICK)
    new = write_csv(table.with_name("new.csv"), DRAW[::-1] + 0.5)
    other = model.with_name("new.pt")
    result = run(new, "--warm-start", model, "-o", other, "--epochs", "1")
    assert result.exit_code == 0, result.output
    old, flow = rnvp_deploy.load(model), rnvp_deploy.load(other)
    assert (flow.columns, flow.context_columns) == (("price", "carat"), ("depth",))
    names = [name for name in old.state_dict() if name.endswith("loc")]
    assert names
    for name in names:
        assert torch.equal(old.state_dict()[name], flow.state_dict()[name])


def test_a_warm_start_never_replaces_its_checkpoint(table: Path, model: Path) -> None:
    """The checkpoint of --warm-start is an input, also with --force."""
    run(table, "-o", model, *QUICK)
    before = model.read_bytes()
    result = run(table, "--warm-start", model, "-o", model, "--force")
    assert "is also an input" in result.output
    assert model.read_bytes() == before


def test_the_checkpoint_records_its_table(table: Path, model: Path) -> None:
    """The summary has the name and the hash of the table, without its folder."""
    run(table, "-o", model, "--keep-rows", "7", *QUICK)
    summary = read_summary(read_training(model))
    assert summary is not None
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert summary.table == {"name": "diamonds.csv", "sha256": digest}
    assert [column.name for column in summary.columns] == list(COLUMNS)
    assert summary.sample.shape == (7, 3)


def test_json_is_one_object_on_stdout(table: Path, model: Path) -> None:
    """All other output is on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, table, "-o", model, "--json", *QUICK],
        capture_output=True,
        text=True,
        check=True,
    )
    outcome = json.loads(done.stdout)
    assert outcome["checkpoint"] == str(model)
    assert (outcome["rows"], outcome["held_out_rows"], outcome["epochs"]) == (180, 20, 2)
    assert outcome["columns"] == list(COLUMNS)
    assert (outcome["stopped"], outcome["skipped_batches"]) == ("epochs", 0)
    assert outcome["gaussian_nats"] == pytest.approx(outcome["held_out_nats"], abs=1.0)
    assert outcome["warnings"] == []
    assert "held out" in done.stderr


def test_ctrl_c_saves_the_best_so_far(table: Path, model: Path) -> None:
    """On SIGINT the checkpoint is written, a message says so, and the exit code is 130."""
    command = [sys.executable, "-c", _RUN, table, "-o", model, "--epochs", "100000"]
    with subprocess.Popen(
        [*map(str, command), "--patience", "100000", "--hidden", "8"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert f"Interrupted. {model}: " in rest
    assert f"Next: rnvp-train {table} --resume {model}" in rest
    assert "Traceback" not in rest
    rnvp_deploy.load(model)


def with_cell(row: int, column: int, cell: object) -> list[list[object]]:
    """The rows, with one cell replaced."""
    rows: list[list[object]] = DRAW.tolist()
    rows[row][column] = cell
    return rows


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (DRAW, ["--columns", "carat,prise"], "no column 'prise' (did you mean 'price'?)"),
        (DRAW, ["--context", "dept"], "no column 'dept' (did you mean 'depth'?)"),
        (
            DRAW,
            ["--columns", "carat", "--context", "carat"],
            "'carat' is in both --columns and --context",
        ),
        (with_cell(4, 1, "deep"), [], "'depth': 1 of 200 cells is not a number, row 5 ('deep')"),
        (with_cell(4, 1, "1,5"), [], "row 5 ('1,5'): write decimals with a point"),
        (with_cell(4, 1, "2020_01"), [], "1 of 200 cells is not a number, row 5"),
        (with_cell(4, 1, "NA"), [], "1 row holds no finite number: 5 (in column 'depth')"),
        (DRAW, ["--columns", "car*,pri?e,x*"], "has no column that matches 'x*'"),
        (DRAW, ["--exclude", "dept"], "no column 'dept' (did you mean 'depth'?)"),
        (DRAW, ["--exclude", "depth", "--context", "depth"], "in both --context and --exclude"),
        (DRAW, ["--exclude", "*"], "has no column of numbers to learn"),
        (with_cell(4, 1, "nan"), [], "1 row holds no finite number: 5 (in column 'depth')"),
        (with_cell(4, 1, ""), [], "1 row holds no finite number: 5 (in column 'depth')"),
        (with_cell(4, 1, "inf"), [], "1 row holds no finite number: 5 (in column 'depth')"),
        (DRAW * [1, 0, 1], [], "column 'depth' is constant"),
        (DRAW[:9], [], "9 rows are too few to hold any out"),
        (DRAW, ["--columns", "carat"], "dim is 1"),
        (DRAW, ["--activation", "rleu"], "'rleu' is not an activation"),
    ],
)
def test_an_unusable_table_gives_one_line(
    rows: Any, options: list[str], message: str, model: Path
) -> None:
    """The line says what is wrong and where. The exit code is 1, and no file is written."""
    table = write_csv(model.with_name("table.csv"), rows)
    result = run(table, "-o", model, *options)
    assert result.exit_code == 1, result.output
    (error,) = result.output.splitlines()
    assert error.startswith("Error: ")
    assert message in error
    assert os.listdir(model.parent) == ["table.csv"]


def test_a_training_that_diverged_is_an_error(model: Path) -> None:
    """Heavy tails with an unbounded scale give exit code 1, and no checkpoint is written."""
    rows = np.random.default_rng(0).pareto(0.7, size=(600, 3)) * 1e6
    table = write_csv(model.with_name("table.csv"), rows)
    options = ["--scale", "exp", "--lr", "3", "--epochs", "30", "--hidden", "16"]
    result = run(table, "-o", model, *options)
    assert result.exit_code == 1, result.output
    assert result.output.splitlines()[-1].startswith("Error: training diverged: from ")
    assert not model.exists()


def test_a_missing_table_gives_one_line(model: Path) -> None:
    """The error names the file."""
    result = run(model.with_name("absent.csv"), "-o", model)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "absent.csv does not exist" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "-o model.pt"),
        (["-o", "m.pt", "--scale", "tan"], "'tan' is not a scale function"),
        (["-o", "m.pt", "--scale", "tanh:wide"], "'tanh:wide' is not a scale function"),
        (["-o", "m.pt", "--scale", "tanh:inf"], "'tanh:inf' is not a scale function"),
        (["-o", "m.pt", "--hidden", "64,x"], "not a list of widths"),
        (["-o", "m.pt", "--columns", "a,,b"], "not a list of different names"),
        (["-o", "m.pt", "--columns", "a,a"], "not a list of different names"),
        (["-o", "m.pt", "--held-out", "1"], "0<x<1"),
        (["-o", "m.pt", "--epochs", "0"], "x>=1"),
        (["--resume", "m.pt", "--couplings", "3"], "--couplings cannot change"),
        (["--warm-start", "m.pt", "-o", "n.pt", "--hidden", "3"], "--hidden cannot change"),
        (["--warm-start", "m.pt", "-o", "n.pt", "--context", "a"], "columns from the checkpoint"),
        (["--warm-start", "m.pt", "--resume", "n.pt"], "expected one of them"),
        (["--warm-start", "m.pt"], "-o model.pt"),
        (["--resume", "m.pt", "--columns", "a"], "columns from the checkpoint"),
        (["--resume", "m.pt", "--exclude", "a"], "columns from the checkpoint"),
        (["--resume", "m.pt", "--dtype", "float64"], "--dtype cannot change"),
        (["-o", "m.pt", "--epochs", "1.5"], "'1.5' is not a valid integer"),
        (["-o", "m.pt", "--epochs", "1e999999999"], "is not a valid integer"),
    ],
)
def test_unusable_options_are_usage_errors(
    options: list[str], message: str, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 2, the message says what is expected, and no file is written."""
    monkeypatch.chdir(table.parent)
    result = run(table, *options)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert os.listdir(table.parent) == [table.name]


def test_an_output_is_checked_before_training(table: Path, tmp_path: Path) -> None:
    """A missing folder, or a folder in place of the file, is an error before any epoch."""
    for output, message in ((tmp_path / "absent" / "m.pt", "does not exist"), (tmp_path, "folder")):
        result = run(table, "-o", output, *QUICK)
        assert result.exit_code == 1
        assert message in result.output
        assert "epoch" not in result.output


@pytest.mark.parametrize("name", ["diamonds.csv", "other.npy", "model.rnvp", "density.onnx"])
def test_an_output_of_another_kind_is_refused(name: str, table: Path) -> None:
    """The output must not be the table or another kind of file, also with --force."""
    before = table.read_bytes()
    result = run(table, "-o", table.with_name(name), "--force", *QUICK)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert table.read_bytes() == before
    assert os.listdir(table.parent) == [table.name]


def test_a_link_to_the_table_is_the_table(table: Path, model: Path) -> None:
    """An output that is an input under another name is refused too."""
    before = table.read_bytes()
    os.link(table, model)
    result = run(table, "-o", model, "--force", *QUICK)
    assert "is also an input" in result.output
    assert table.read_bytes() == before


def test_an_existing_output_needs_force(table: Path, model: Path) -> None:
    """An existing file is replaced only with --force."""
    model.write_text("something else")
    result = run(table, "-o", model, *QUICK)
    assert result.exit_code == 1
    assert "--force" in result.output
    assert model.read_text() == "something else"
    assert run(table, "-o", model, "--force", *QUICK).exit_code == 0


@pytest.mark.parametrize("kind", ["text", "pickle", "untrained", "absent"])
def test_a_file_that_cannot_be_resumed_is_unchanged(kind: str, table: Path, model: Path) -> None:
    """--resume takes only a checkpoint with a training in it."""
    if kind == "text":
        model.write_text("a,b\n")
    elif kind == "pickle":
        torch.save(torch.nn.Linear(1, 1), model)
    elif kind == "untrained":
        rnvp_deploy.save(rnvp_deploy.RNVP(rnvp_deploy.RNVPConfig(dim=3), COLUMNS), model)
    before = model.read_bytes() if model.exists() else None
    result = run(table, "--resume", model)
    assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
    assert result.output.startswith("Error: ")
    assert (model.read_bytes() if model.exists() else None) == before


def test_help_has_an_example_and_needs_no_torch() -> None:
    """--help does not import PyTorch."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH + _RUN, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rnvp-train diamonds.csv -o model.pt" in done.stdout


def test_without_torch_it_says_what_to_install(table: Path, model: Path) -> None:
    """Without PyTorch one line says what to install."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH + _RUN, table, "-o", model],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == 'Error: torch is not installed: pip install "rnvp-deploy[export]"\n'


def test_every_option_has_help() -> None:
    """Each option has a help text."""
    for parameter in train.params:
        if isinstance(parameter, click.Option):
            assert parameter.help


_RUN = "from rnvp_deploy.commands.train import train; train()"
_WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; "


def test_mapped_columns_are_part_of_the_checkpoint(tmp_path: Path, model: Path) -> None:
    """Columns are mapped by name or pattern, and a warm start keeps the maps."""
    draw = np.random.default_rng(1)
    columns = ("price", "share", "n_hits")
    rows = [draw.lognormal(3, 1, 200), draw.random(200), draw.poisson(3, 200)]
    table = write_csv(tmp_path / "shop.csv", np.stack(rows, 1).tolist(), columns)
    options = ["--log", "pri*", "--logit", "share", "--integer", "n_hits"]
    result = run(table, "-o", model, *QUICK, *options)
    assert result.exit_code == 0, result.output
    assert "Suggested options" not in result.output
    maps = rnvp_deploy.column_maps(columns, log=["price"], logit=["share"], integer=["n_hits"])
    flow = rnvp_deploy.load(model)
    assert flow.elementwise is not None
    assert flow.elementwise.spec.columns == maps
    again = tmp_path / "again.pt"
    assert run(table, "--warm-start", model, "-o", again, "--epochs", "1").exit_code == 0
    assert rnvp_deploy.load(again).spec == flow.spec


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--log", "prcie"], 1, "--log: the flow has no column 'prcie' (did you mean 'price'?)"),
        (["--log", "carat"], 1, "'carat' must hold values above 0"),
        (["--log", "price", "--logit", "price"], 2, "'price' is in both --log and --logit"),
    ],
)
def test_columns_that_cannot_be_mapped_are_named(
    table: Path, model: Path, options: list[str], code: int, message: str
) -> None:
    """The message names the column, and no checkpoint is written."""
    result = run(table, "-o", model, *QUICK, *options)
    assert result.exit_code == code
    assert message in result.output
    assert not model.exists()


def test_a_resumed_training_cannot_change_its_maps(table: Path, model: Path) -> None:
    """A resumed training has the maps of its checkpoint."""
    result = run(table, "--resume", model, "--integer", "price")
    assert result.exit_code == 2
    assert "--integer cannot change with --resume" in result.output
