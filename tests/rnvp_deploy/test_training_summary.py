"""The result of a training, its notes, and the summary in its checkpoint."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

import rnvp_deploy
from rnvp_deploy import RNVP, RNVPConfig, TrainingOptions, fit
from rnvp_deploy.checkpoint import read_training
from rnvp_deploy.errors import TrainingError
from rnvp_deploy.training import Epoch, Training, TrainingSummary, read_summary
from rnvp_deploy.training.baseline import gaussian_log_prob
from rnvp_deploy.training.notes import training_notes
from rnvp_deploy.training.progress import progress_line
from rnvp_deploy.training.rows import Rows
from rnvp_deploy.training.summary import COLUMN_LEVELS, LOG_PROB_LEVELS

Array = NDArray[np.float64]
SHORT = TrainingOptions(epochs=3, batch_size=64)


def rows(n: int = 1000, seed: int = 0) -> Array:
    """(n, 3) correlated Gaussian rows."""
    draw = np.random.default_rng(seed)
    mix = np.array([[2.0, 0.5, 0.0], [0.0, 1.0, 30.0], [0.0, 0.0, 10.0]])
    return np.asarray(draw.normal(size=(n, 3)) @ mix + [10.0, -5.0, 1000.0])


def new_flow(**config: Any) -> RNVP:
    """A small flow of three columns, with the same weights in every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RNVP(RNVPConfig(**{"dim": 3, "couplings": 2, "hidden": (8,), **config}))


def tensors(x: Array, context: Array | None = None) -> Rows:
    """Rows of float64 tensors."""
    return Rows(torch.tensor(x), None if context is None else torch.tensor(context))


def summary_of(training: Training) -> TrainingSummary:
    """The summary of a training."""
    summary = read_summary(training.record)
    assert summary is not None
    return summary


def test_the_baseline_is_the_best_gaussian() -> None:
    """It agrees with SciPy's density of the rows' own mean and covariance."""
    x, fresh = rows(), rows(seed=1)
    truth = multivariate_normal(x.mean(0), np.cov(x.T, bias=True)).logpdf(fresh)
    log_prob = gaussian_log_prob(tensors(x), tensors(fresh))
    assert log_prob is not None
    np.testing.assert_allclose(log_prob.numpy(), truth, rtol=1e-9)


def test_the_baseline_of_a_conditional_flow_is_conditional() -> None:
    """log p(x | c) is log p(x, c) − log p(c), each of a Gaussian."""
    table, fresh = rows(), rows(seed=1)
    joint = gaussian_log_prob(tensors(table), tensors(fresh))
    context = gaussian_log_prob(tensors(table[:, 2:]), tensors(fresh[:, 2:]))
    given_context = gaussian_log_prob(
        tensors(table[:, :2], table[:, 2:]), tensors(fresh[:, :2], fresh[:, 2:])
    )
    assert joint is not None
    assert context is not None
    assert given_context is not None
    torch.testing.assert_close(given_context, joint - context)


@given(unit=st.floats(1e-12, 1e12))
def test_the_baseline_is_in_the_units_of_the_rows(unit: float) -> None:
    """In other units log_prob changes by the logarithm of the unit for each column."""
    one = gaussian_log_prob(tensors(rows(50)), tensors(rows(5)))
    other = gaussian_log_prob(tensors(rows(50) * unit), tensors(rows(5) * unit))
    assert one is not None
    assert other is not None
    torch.testing.assert_close(other, one - 3 * math.log(unit), rtol=1e-6, atol=1e-6)


def test_a_singular_covariance_has_no_baseline() -> None:
    """The covariance is singular if a column is a linear function of another."""
    x = rows()
    x[:, 1] = 2 * x[:, 0] + 1
    assert gaussian_log_prob(tensors(x), tensors(x)) is None


def test_the_summary_describes_the_rows_and_the_training() -> None:
    """The summary holds the rows, the columns, the curves and the losses."""
    x = rows()
    training = fit(new_flow(), x, options=SHORT)
    summary = summary_of(training)
    assert (summary.rows, summary.held_out_rows) == (900, 100)
    assert summary.train_curve == tuple(epoch.train for epoch in training.epochs)
    assert summary.held_out_curve == tuple(epoch.held_out for epoch in training.epochs)
    assert summary.held_out_loss == training.best.held_out
    assert summary.gaussian_loss == training.gaussian
    assert (summary.best_epoch, summary.stopped) == (training.best.number, "epochs")
    assert summary.versions["torch"] == str(torch.__version__)
    assert [column.name for column in summary.columns] == ["x0", "x1", "x2"]
    for column, values in zip(summary.columns, x.T, strict=True):
        assert column.kind == "continuous"
        assert (column.minimum, column.maximum) == (values.min(), values.max())
        assert (column.mean, column.deviation) == (values.mean(), values.std())
        np.testing.assert_array_equal(column.quantiles, np.quantile(values, COLUMN_LEVELS))


def test_the_quantiles_are_those_of_the_held_out_rows() -> None:
    """They use the weights that were kept, and include the minimum and the maximum."""
    flow, x = new_flow(), rows()
    summary = summary_of(fit(flow, x, options=TrainingOptions(3, keep_rows=100)))
    with torch.no_grad():
        log_prob = flow.log_prob(summary.sample).double()
    assert len(log_prob) == summary.held_out_rows
    assert float(-log_prob.mean()) == pytest.approx(summary.held_out_loss)
    quantiles = dict(zip(LOG_PROB_LEVELS, summary.log_prob_quantiles, strict=True))
    assert quantiles[0.0] == log_prob.min()
    assert quantiles[1.0] == log_prob.max()
    for level in (0.01, 0.05, 0.5, 0.99):
        assert float((log_prob <= quantiles[level]).double().mean()) == pytest.approx(
            level, abs=0.01
        )


def test_the_sample_is_of_held_out_rows() -> None:
    """The sample has at most ``keep_rows`` rows, and each is a row of the table."""
    x = rows()
    summary = summary_of(fit(new_flow(), x, options=TrainingOptions(1, keep_rows=10)))
    none = summary_of(fit(new_flow(), x, options=TrainingOptions(1, keep_rows=0)))
    assert (summary.sample.shape, none.sample.shape) == ((10, 3), (0, 3))
    table = {tuple(row) for row in x.astype(np.float32).tolist()}
    assert all(tuple(row) in table for row in summary.sample.tolist())


def test_the_summary_of_a_conditional_flow_has_the_context() -> None:
    """It holds the context columns and the context of the sample."""
    x = rows()
    flow = RNVP(RNVPConfig(dim=2, context_dim=1, couplings=1, hidden=(4,)), ("a", "b"), ("c",))
    summary = summary_of(fit(flow, x[:, :2], x[:, 2:], options=SHORT))
    assert [column.name for column in summary.context_columns] == ["c"]
    assert summary.context_columns[0].maximum == x[:, 2].max()
    assert summary.sample_context is not None
    assert summary.sample_context.shape == (100, 1)


def test_the_summary_is_stored_in_the_checkpoint(tmp_path: Path) -> None:
    """It is stored as plain values, and reading it gives the same summary."""
    flow = new_flow()
    training = fit(flow, rows(), options=SHORT)
    rnvp_deploy.save(flow, tmp_path / "model.pt", training=training.record)
    stored = read_summary(read_training(tmp_path / "model.pt"))
    assert stored is not None
    assert torch.equal(stored.sample, summary_of(training).sample)
    for name in TrainingSummary.__dataclass_fields__:
        if name != "sample":
            assert getattr(stored, name) == getattr(summary_of(training), name), name


def test_a_checkpoint_without_a_summary_has_none() -> None:
    """A converted flow has no summary. A damaged summary is an error."""
    assert read_summary({}) is None
    record = fit(new_flow(), rows(), options=SHORT).record
    del record["summary"]["sample"]
    with pytest.raises(TrainingError, match="summary of the training is damaged"):
        read_summary(record)


def test_a_record_of_an_older_version_is_resumed() -> None:
    """Such a record has no summary and no counts of skipped batches."""
    flow = new_flow()
    record = fit(flow, rows(), options=SHORT).record
    del record["summary"], record["skipped"], record["options"]["keep_rows"]
    assert len(fit(flow, rows(), options=TrainingOptions(5, 64), resume=record).epochs) == 5


def test_the_date_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SOURCE_DATE_EPOCH there is no date, so equal trainings give equal bytes."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert summary_of(fit(new_flow(), rows(), options=SHORT)).date is None
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    dated = summary_of(fit(new_flow(), rows(), options=SHORT))
    assert dated.date == "1970-01-02T00:00:00+00:00"


def epochs(*held_out: float, fall: float = 1.0, skipped: int = 0) -> list[Epoch]:
    """Epochs of 10 batches with these held-out losses; the training loss falls by ``fall``."""
    best, done = math.inf, []
    for number, loss in enumerate(held_out, start=1):
        is_best, best = loss < best, min(best, loss)
        done.append(Epoch(number, len(held_out), -fall * number, loss, is_best, 10, skipped))
    return done


def notes(
    history: list[Epoch], config: RNVPConfig | None = None, **changes: Any
) -> tuple[str, ...]:
    """The notes of a training with these epochs, whose held-out log_prob has deviation 1."""
    log_prob = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flow = RNVP(config or RNVPConfig(dim=2))
    given = {"log_prob": log_prob, "gaussian": None, "start_loss": None, **changes}
    return training_notes(flow, history, **given)


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        (RNVPConfig(dim=2), "try --hidden 32,32 --couplings 4"),
        (RNVPConfig(dim=2, joint=False, hidden=(100, 20, 10)), "--hidden 50,10,8 --couplings 4"),
        (RNVPConfig(dim=2, couplings=2, hidden=(8,)), "train on more rows"),
    ],
)
def test_overfitting_is_noted(config: RNVPConfig, remedy: str) -> None:
    """The note ends with what to try."""
    (note,) = notes(epochs(5.0, 4.0, 3.0, 3.5, 4.5), config)
    assert note.startswith("overfits after epoch 3: the held-out loss rose from 3 to 4.5 nats")
    assert "while the training loss fell from -3 to -5" in note
    assert note.endswith(remedy)


def test_a_rise_within_the_noise_is_not_overfitting() -> None:
    """The gap between both losses grew by less than two standard errors of the score."""
    assert notes(epochs(5.0, 4.0, 3.0, 3.01, 3.03, fall=0.01)) == ()


def test_a_late_best_epoch_is_not_overfitting() -> None:
    """The training loss falls further, but the held-out loss does not rise."""
    assert notes(epochs(5.0, 4.0, 3.001, 3.0, 3.0, fall=0.1)) == ()


def test_a_training_that_still_improves_is_noted() -> None:
    """It used all its epochs, and the last ones reduced the held-out loss."""
    (note,) = notes(epochs(5.0, 4.0, 3.0))
    assert note == "still improving at the last epoch: try --epochs 6"
    assert notes(epochs(5.0, 3.0, 2.999)) == ()


def test_skipped_batches_are_noted() -> None:
    """The note gives their number and their share."""
    (note,) = notes(epochs(3.0, 3.0, skipped=1))
    assert note.startswith("2 batches (10 % of all) had a loss or gradient that was not finite")


def test_a_score_below_the_gaussians_is_noted() -> None:
    """There is no note if the difference is within the noise."""
    log_prob = torch.zeros(1000, dtype=torch.float64)
    noise = torch.randn(1000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (note,) = notes(epochs(3.0, 3.0), log_prob=log_prob, gaussian=noise + 0.5)
    assert "nats a row worse than a Gaussian with a full covariance" in note
    assert notes(epochs(3.0, 3.0), log_prob=log_prob, gaussian=noise + 0.01) == ()
    assert notes(epochs(3.0, 3.0), log_prob=log_prob, gaussian=noise - 0.5) == ()


def test_a_warm_start_keeps_what_was_learnt() -> None:
    """It keeps the first standardisation, and training starts from the earlier loss."""
    flow = new_flow()
    first = fit(flow, rows(), options=TrainingOptions(60, batch_size=64))
    before = {name: value.clone() for name, value in flow.state_dict().items()}
    gentle = TrainingOptions(1, learning_rate=1e-6)
    again = fit(flow, rows(seed=2), options=gentle, warm_start=True)
    assert torch.equal(before["transforms.0.loc"], flow.state_dict()["transforms.0.loc"])
    assert again.best.held_out == pytest.approx(first.best.held_out, abs=0.3)
    cold = fit(new_flow(), rows(seed=2), options=gentle)
    assert again.best.held_out < cold.best.held_out - 0.5


def test_a_warm_start_that_makes_it_worse_is_noted() -> None:
    """The note says that the training did not improve the flow."""
    flow = new_flow()
    fit(flow, rows(), options=TrainingOptions(60, batch_size=64))
    wild = TrainingOptions(1, learning_rate=3.0, warmup=0, average=0.0)
    again = fit(flow, rows(seed=2), options=wild, warm_start=True)
    assert any("did not improve on the flow it started from" in note for note in again.notes)


def test_a_training_is_resumed_or_warm_started_not_both() -> None:
    """The two start from different weights."""
    record = fit(new_flow(), rows(), options=SHORT).record
    with pytest.raises(TrainingError, match="expected one of them"):
        fit(new_flow(), rows(), resume=record, warm_start=True)


def test_the_result_prints_in_one_line() -> None:
    """The line has the loss, the baseline, the epoch and the reason for the end."""
    text = repr(fit(new_flow(), rows(), options=SHORT))
    assert text.startswith("Training(8")
    assert "nats a row on 100 held-out rows, Gaussian 7" in text
    assert "epoch 3 of 3, stopped by epochs" in text
    assert len(text) < 200


def test_a_notebook_shows_the_curve(caplog: pytest.LogCaptureFixture) -> None:
    """The curve is an SVG in the colour of the text, and names are escaped."""
    x = rows()
    x[:, 1] = np.round(x[:, 1])
    flow = RNVP(RNVPConfig(dim=3, couplings=1, hidden=(4,)), ("a", "<n>", "c"))
    with caplog.at_level(logging.ERROR):
        text = fit(flow, x, options=SHORT)._repr_html_()
    assert text.count("<polyline") == 2
    assert "currentColor" in text
    assert "&lt;n&gt;" in text
    assert "<n>" not in text


def test_verbose_shows_the_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    """The epochs go to standard error. Without ``verbose`` nothing is printed."""
    fit(new_flow(), rows(), options=SHORT)
    assert capsys.readouterr().err == ""
    fit(new_flow(), rows(), options=SHORT, verbose=True)
    assert "epoch 1/3  train " in capsys.readouterr().err


@pytest.mark.parametrize("width", [200, 100, 90, 60, 40, 30, 20, 5, 0])
def test_the_progress_line_fits_its_terminal(width: int) -> None:
    """Parts that do not fit are left out, the least important first. The line never wraps."""
    epoch = Epoch(57, 229, 1.1521, 1.1493, True, 10, 0)
    line = progress_line(epoch, 1.1488, 61.0, width)
    assert len(line) < max(width, 1)
    assert "1 min 01 s left" in line or width < 60
    assert "best 1.1488" in line or width < 40
    assert ("━━━━─" in line) == (width >= 100)
