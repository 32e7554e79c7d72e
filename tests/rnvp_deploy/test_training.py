"""``fit``: learning, the best weights, reproducibility, resuming, and refused input."""

import dataclasses
import itertools
import logging
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.utils import prune

import rnvp_deploy
from rnvp_deploy import RNVP, RNVPConfig, TrainingOptions, fit, scales
from rnvp_deploy.checkpoint import read_training
from rnvp_deploy.errors import TrainingError
from rnvp_deploy.training import Epoch, Training
from rnvp_deploy.training.rows import Rows, split_rows
from rnvp_runtime.errors import InputError

Array = NDArray[np.float64]
TINY = RNVPConfig(dim=2, couplings=2, hidden=(16,))
SHORT = TrainingOptions(epochs=6, batch_size=64)


def new_flow(config: RNVPConfig = TINY, **names: Any) -> RNVP:
    """A flow with the same initial weights in every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RNVP(config, **names)


def banana(n: int = 400, seed: int = 0) -> Array:
    """(n, 2) rows on a noisy parabola, in units that need standardising."""
    draw = np.random.default_rng(seed)
    a = draw.normal(size=n)
    b = a**2 + 0.3 * draw.normal(size=n)
    return np.stack([100.0 + 5.0 * a, 0.01 * b], axis=1)


def nats(flow: RNVP, x: Array, context: Array | None = None) -> float:
    """Mean −log p of the rows."""
    rows = [None if a is None else torch.tensor(a, dtype=flow.dtype) for a in (x, context)]
    with torch.no_grad():
        return -float(flow.log_prob(*rows).mean())


def same_weights(one: RNVP, other: RNVP) -> bool:
    """Whether every weight is the same, to the bit."""
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def gaussian_nats(x: Array) -> float:
    """The loss of the best Gaussian with a full covariance on its own rows."""
    d = x.shape[1]
    return 0.5 * (float(np.linalg.slogdet(np.cov(x.T))[1]) + d * (1 + math.log(2 * math.pi)))


def test_it_learns() -> None:
    """Fresh rows have a lower loss than with the best Gaussian."""
    flow = new_flow()
    fit(flow, banana(2000), options=TrainingOptions(epochs=60))
    assert nats(flow, banana(2000, seed=1)) < gaussian_nats(banana(2000, seed=1)) - 0.3


def test_the_result_describes_the_training() -> None:
    """The result has the rows, the epochs and the best epoch."""
    seen: list[Epoch] = []
    training = fit(new_flow(), banana(), options=SHORT, progress=seen.append)
    assert (training.rows, training.held_out_rows, training.stopped) == (360, 40, "epochs")
    assert training.epochs == tuple(seen)
    assert [epoch.number for epoch in seen] == [1, 2, 3, 4, 5, 6]
    assert training.best == min(seen, key=lambda epoch: epoch.held_out)
    assert training.best.best


def test_the_best_weights_are_kept() -> None:
    """The flow has the weights of its best epoch, not of the last."""
    options = TrainingOptions(epochs=40, batch_size=16, learning_rate=0.03, average=0.0)
    big, x = RNVPConfig(dim=2, couplings=4, hidden=(64, 64)), banana(120)
    flow = new_flow(big)
    training = fit(flow, x, options=options)
    best = training.best.number
    assert best < len(training.epochs), "this run does not overfit, so the test shows nothing"
    stopped_there = new_flow(big)

    def stop(epoch: Epoch) -> None:
        if epoch.number == best:
            raise KeyboardInterrupt

    fit(stopped_there, x, options=options, progress=stop)
    assert same_weights(flow, stopped_there)


def test_patience_ends_a_training_that_no_longer_improves() -> None:
    """Training stops after ``patience`` epochs without a better score."""
    options = TrainingOptions(
        epochs=500, batch_size=16, learning_rate=0.03, patience=5, average=0.0
    )
    training = fit(new_flow(), banana(60), options=options)
    assert training.stopped == "patience"
    assert len(training.epochs) == training.best.number + 5


def test_max_seconds_ends_it_after_an_epoch() -> None:
    """With a limit of almost 0 s, one epoch is trained."""
    training = fit(new_flow(), banana(), options=TrainingOptions(max_seconds=1e-9))
    assert training.stopped == "max_seconds"
    assert len(training.epochs) == 1


def test_the_loss_is_in_the_units_of_the_rows() -> None:
    """The loss of rows in other units differs by the logarithm of the units."""
    small, large = new_flow().double(), new_flow().double()
    one = fit(small, banana(), options=SHORT)
    other = fit(large, banana() * 1000.0, options=SHORT)
    assert other.best.held_out == pytest.approx(one.best.held_out + 2 * math.log(1000.0))


def test_the_same_seed_gives_the_same_flow() -> None:
    """Rows, options and initial weights determine every bit; the seed matters."""
    flows = []
    for seed in (1, 1, 2):
        torch.rand(seed)  # torch's own generator has no effect
        flow = new_flow()
        fit(flow, banana(), options=TrainingOptions(epochs=3, batch_size=64, seed=seed))
        flows.append(flow)
    assert same_weights(flows[0], flows[1])
    assert not same_weights(flows[0], flows[2])


def stopped_after(epochs: int, flow: RNVP, x: Array, options: TrainingOptions) -> Training:
    """A training that is interrupted after this many epochs."""

    def stop(epoch: Epoch) -> None:
        if epoch.number == epochs:
            raise KeyboardInterrupt

    return fit(flow, x, options=options, progress=stop)


@pytest.mark.parametrize("done", [1, 3, 5])
def test_resuming_gives_the_same_file(done: int, tmp_path: Any) -> None:
    """A training that is stopped, saved and resumed gives the file of an uninterrupted one."""
    alone, stopped = new_flow(), new_flow()
    whole = fit(alone, banana(), options=SHORT)
    rnvp_deploy.save(alone, tmp_path / "alone.pt", training=whole.record)

    part = stopped_after(done, stopped, banana(), SHORT)
    rnvp_deploy.save(stopped, tmp_path / "part.pt", training=part.record)
    flow = rnvp_deploy.load(tmp_path / "part.pt")
    rest = fit(flow, banana(), resume=read_training(tmp_path / "part.pt"))
    rnvp_deploy.save(flow, tmp_path / "resumed.pt", training=rest.record)

    assert rest.epochs == whole.epochs
    assert (tmp_path / "resumed.pt").read_bytes() == (tmp_path / "alone.pt").read_bytes()


def test_an_interrupt_within_an_epoch_keeps_the_epochs_before_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After Ctrl-C during epoch 4 the flow is as it was after epoch 3, with a warning."""
    flow, calls = new_flow(), 0

    def interrupt(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3 * (5 + 1) + 2:  # an epoch: five batches and one scoring
            raise KeyboardInterrupt

    flow.register_forward_pre_hook(interrupt)
    with caplog.at_level(logging.WARNING, "rnvp_deploy"):
        training = fit(flow, banana(), options=SHORT)
    assert training.stopped == "interrupt"
    assert "interrupted in epoch 4: the best weights so far" in caplog.text
    after_three = new_flow()
    assert stopped_after(3, after_three, banana(), SHORT).epochs == training.epochs
    assert same_weights(flow, after_three)


def test_an_interrupt_in_the_first_epoch_is_raised() -> None:
    """After an interrupt in the first epoch there are no weights to keep."""
    flow = new_flow()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    flow.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(flow, banana(), options=SHORT)


@pytest.mark.parametrize("asked", [1, 6])
def test_a_complete_training_is_resumed_only_for_more_epochs(asked: int) -> None:
    """The error says how many epochs it has and were asked for; with more, it continues."""
    flow = new_flow()
    done = fit(flow, banana(), options=TrainingOptions(6, 64, patience=6))
    fewer = TrainingOptions(asked, 64, patience=6)
    with pytest.raises(TrainingError, match=f"has 6 epochs.* more than 6 epochs, and not {asked}$"):
        fit(flow, banana(), options=fewer, resume=done.record)
    more = fit(flow, banana(), options=TrainingOptions(8, batch_size=64), resume=done.record)
    assert len(more.epochs) == 8


def test_a_training_without_progress_is_resumed_only_for_more_patience() -> None:
    """The error asks for patience alone; with more than the epochs without progress, it goes on."""
    flow = new_flow()
    bad = TrainingOptions(60, 64, learning_rate=0.3, patience=2)
    done = fit(flow, banana(), options=bad)
    assert done.stopped == "patience"
    for patience in (1, 2):
        said = f"ask for a patience of more than 2, and not {patience}$"
        with pytest.raises(TrainingError, match=said):
            fit(flow, banana(), options=replace(bad, patience=patience), resume=done.record)
    more = fit(flow, banana(), options=replace(bad, patience=3), resume=done.record)
    assert len(more.epochs) > len(done.epochs)


@pytest.mark.parametrize("missing", ["options", "rows", "optimizer", "averages"])
def test_an_incomplete_record_is_refused(missing: str) -> None:
    """A record that lacks an entry is refused, and so is an empty record."""
    flow = new_flow()
    record = stopped_after(2, flow, banana(), SHORT).record
    del record[missing]
    for bad in (record, {}):
        with pytest.raises(TrainingError, match="holds no training"):
            fit(flow, banana(), resume=bad)


def test_other_rows_are_not_resumed_on() -> None:
    """Other rows are refused, since held-out rows would be trained on."""
    flow = new_flow()
    part = stopped_after(2, flow, banana(), SHORT)
    with pytest.raises(TrainingError, match="not the rows"):
        fit(flow, banana(seed=5), resume=part.record)


def test_options_of_the_batches_cannot_change_on_resuming() -> None:
    """The seed, the held-out fraction and the batch size stay as they were."""
    flow = new_flow()
    part = stopped_after(2, flow, banana(), SHORT)
    with pytest.raises(TrainingError, match="seed was 0"):
        fit(flow, banana(), options=TrainingOptions(6, batch_size=64, seed=1), resume=part.record)


@pytest.mark.parametrize("kind", ["pandas", "polars", "tensor", "float32", "list"])
def test_rows_come_in_any_form(kind: str) -> None:
    """Data frames, tensors, arrays of any dtype and lists give the same training."""
    x = banana().astype(np.float32).astype(np.float64)
    table = {"other": ["text"] * len(x), "b": x[:, 1], "a": x[:, 0]}
    forms: dict[str, Any] = {
        "pandas": pd.DataFrame(table),
        "polars": pl.DataFrame(table),
        "tensor": torch.tensor(x),
        "float32": x.astype(np.float32),
        "list": x.tolist(),
    }
    one, other = new_flow(columns=("a", "b")), new_flow(columns=("a", "b"))
    fit(one, x, options=SHORT)
    fit(other, forms[kind], options=SHORT)
    assert same_weights(one, other)


def test_a_conditional_flow_learns_the_dependence() -> None:
    """p(x | c) with x near c scores far better than without the context."""
    draw = np.random.default_rng(0)
    c = draw.uniform(-3, 3, size=(2000, 1))
    x = c + 0.1 * draw.normal(size=(2000, 1))
    flow = new_flow(RNVPConfig(dim=1, context_dim=1, couplings=2, hidden=(16,)))
    fit(flow, x, c, options=TrainingOptions(epochs=50))
    assert nats(flow, x, c) < gaussian_nats(np.hstack([x, draw.normal(size=(2000, 1))])) - 2.0


def test_the_context_is_found_in_the_same_table() -> None:
    """A data frame with the context columns is enough."""
    frame = pd.DataFrame({"a": banana()[:, 0], "b": banana()[:, 1], "c": np.arange(400.0)})
    config = RNVPConfig(dim=2, context_dim=1, couplings=2, hidden=(8,))
    names = {"columns": ("a", "b"), "context_columns": ("c",)}
    one, other = new_flow(config, **names), new_flow(config, **names)
    fit(one, frame, options=SHORT)
    fit(other, frame[["a", "b"]], frame[["c"]], options=SHORT)
    assert same_weights(one, other)


def test_float64_flows_train_in_float64() -> None:
    """The rows take the flow's dtype."""
    flow = new_flow().double()
    fit(flow, banana(), options=SHORT)
    assert flow.dtype == torch.float64


def test_actnorm_is_initialised_from_the_training_rows() -> None:
    """ActNorm is initialised before the first step."""
    flow = new_flow(RNVPConfig(dim=2, couplings=2, hidden=(8,), actnorm=True))
    first = fit(flow, banana(), options=TrainingOptions(epochs=1, learning_rate=1e-9))
    assert first.best.train == pytest.approx(gaussian_nats(banana()), abs=1.0)


def with_cell(row: int, column: int, value: float) -> Array:
    """The rows, with one cell replaced."""
    x = banana()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (with_cell(6, 1, math.nan), r"1 row holds no finite number: 7 \(in column 'x1'\)"),
        (with_cell(6, 0, math.inf), r"1 row holds no finite number: 7 \(in column 'x0'\)"),
        (
            with_cell(6, 0, 1e300),
            r"x in float32: 1 row holds no finite number: 7 \(in column 'x0'\)",
        ),
        (banana() * [1.0, 0.0], r"column 'x1' is constant"),
        (banana() * [0.0, 0.0], r"columns 'x0', 'x1' are constant"),
        (banana() * [1.0, 1e-9] + [0.0, 1e9], r"column 'x1' is constant"),
        (banana(5), r"5 rows are too few to hold any out: .* at least 10"),
        (banana(0), r"0 rows are too few"),
    ],
)
def test_rows_that_cannot_be_learnt_from_are_refused(x: Array, message: str) -> None:
    """The message names the columns and rows; the flow is unchanged."""
    flow, before = new_flow(), new_flow()
    with pytest.raises(TrainingError, match=message):
        fit(flow, x)
    assert same_weights(flow, before)


CONDITIONAL = RNVPConfig(dim=2, context_dim=2, couplings=2, hidden=(8,))


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 1e9 + 0.1, 1e-30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_condition_is_learnt_with_a_warning(value: float, dtype: torch.dtype) -> None:
    """A condition of one value becomes 0, in its own units, and the result has all its figures."""
    x = banana()
    context = np.column_stack([np.full(len(x), value), x[:, 0] + banana(seed=1)[:, 0]])
    flow = new_flow(CONDITIONAL).to(dtype)
    result = fit(flow, x, context, options=SHORT)
    assert [(w.kind, w.columns) for w in result.warnings if w.kind == "constant"] == [
        ("constant", ("c0",))
    ]
    assert math.isfinite(result.best.held_out)
    only = fit(
        new_flow(dataclasses.replace(CONDITIONAL, context_dim=1)), x, context[:, 1:], options=SHORT
    )
    assert result.gaussian == pytest.approx(only.gaussian, rel=1e-4)
    scaled = flow.standardised(torch.tensor(context, dtype=dtype))
    assert scaled is not None
    assert (scaled[:, 0] == 0).all()
    assert float(scaled[:, 1].std()) == pytest.approx(1, abs=0.1)


def test_a_warm_start_keeps_its_scaling_of_a_condition_that_is_constant_now() -> None:
    """New rows may have one value of a condition, which is scaled as before and warned about."""
    x = banana()
    flow = new_flow(CONDITIONAL)
    fit(flow, x, x + banana(seed=1), options=SHORT)
    assert flow.context_scaling is not None
    before = flow.context_scaling.log_scale.clone()
    result = fit(flow, x, np.full((len(x), 2), 100.0), options=SHORT, warm_start=True)
    assert torch.equal(flow.context_scaling.log_scale, before)
    assert result.warnings[0].message.startswith("conditions 'c0', 'c1' are constant in these rows")


def test_a_constant_column_of_a_trained_flow_cannot_be_left_out() -> None:
    """The message of a warm start asks for other rows; that of a new flow to leave it out."""
    flow, x = new_flow(), banana()
    with pytest.raises(TrainingError, match=r"'x1' is constant: .*; leave it out$"):
        fit(flow, x * [1.0, 0.0], options=SHORT)
    fit(flow, x, options=SHORT)
    with pytest.raises(TrainingError, match=r"'x1' is constant: .* on rows in which no column is"):
        fit(flow, x * [1.0, 0.0], options=SHORT, warm_start=True)


@pytest.mark.parametrize("factor", [1e300, 1e160, 1e45, 2e39, 1e-39, 1e-60, 1e-160])
def test_units_that_float32_lacks_are_answered_with_a_remedy_that_works(factor: float) -> None:
    """Numbers too large or small for float32 name float64 as a remedy if it can train on them."""
    x = (banana() - [100.0, 0.0]) * [1.0, factor]
    with pytest.raises(TrainingError, match="'x1'") as error:
        fit(new_flow(), x, options=SHORT)
    assert "change " in str(error.value)
    assert " unit" in str(error.value)
    if 1e-140 < factor < 1e140:
        assert "--dtype float64" in str(error.value)
        fit(new_flow().double(), x, options=SHORT)
    else:
        assert "--dtype float64" not in str(error.value)
        with pytest.raises(TrainingError, match=r"for a float64 flow: change its unit$"):
            fit(new_flow().double(), x, options=SHORT)


@pytest.mark.parametrize("held_out", [1e-300, 0.001, 0.1, 0.3, 0.5, 0.6, 0.9, 0.95, 0.999])
def test_too_few_rows_are_refused_with_the_number_that_is_enough(held_out: float) -> None:
    """The message says which part lacks rows, and how many rows in all are enough for both."""
    for n in (0, 1, 2, 3, 5, 10, 19, 300):
        rows = Rows(torch.randn(n, 2), None)
        held = int(n * held_out)
        if held >= 1 and n - held >= 2:
            split_rows(rows, held_out, torch.Generator())
            continue
        side = ": .* leaves 1 to train on, .* hold out fewer " if held else " to hold any out: "
        with pytest.raises(TrainingError, match=f"^{n} rows are too few{side}") as error:
            split_rows(rows, held_out, torch.Generator())
        enough = int(str(error.value).rpartition("at least ")[2].split()[0].replace(",", ""))
        if enough < 10**6:
            split_rows(Rows(torch.randn(enough, 2), None), held_out, torch.Generator())
            with pytest.raises(TrainingError, match="too few"):
                split_rows(Rows(torch.randn(enough - 1, 2), None), held_out, torch.Generator())


def test_many_rows_with_gaps_are_counted() -> None:
    """The error lists the first ten rows."""
    x = banana()
    x[:12, 0] = math.nan
    with pytest.raises(
        TrainingError,
        match=r"12 rows hold no finite number: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more",
    ):
        fit(new_flow(), x)


@pytest.mark.parametrize(
    "x", [banana()[:, :1], banana()[0], np.full((20, 2), "a"), pd.DataFrame({"x0": [1.0] * 20})]
)
def test_rows_of_another_kind_are_refused(x: Any) -> None:
    """Rows of another width, a single row, text, and a missing column are refused."""
    with pytest.raises(InputError):
        fit(new_flow(), x)


def test_a_context_must_fit() -> None:
    """A context that is not needed, is missing or has another length is refused."""
    conditional = new_flow(RNVPConfig(dim=2, context_dim=1, couplings=2))
    with pytest.raises(TrainingError, match="unconditional"):
        fit(new_flow(), banana(), np.zeros((400, 1)))
    with pytest.raises(TrainingError, match="needs a context of 1"):
        fit(conditional, banana())
    with pytest.raises(TrainingError, match="400 rows, but the context has 399"):
        fit(conditional, banana(), np.arange(399.0)[:, None])


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": -1.0},
        {"learning_rate": math.nan},
        {"held_out": 0.0},
        {"held_out": 1.0},
        {"patience": 0},
        {"max_seconds": 0.0},
        {"average": 1.0},
        {"warmup": -1},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """The option and its value are named."""
    ((name, value),) = options.items()
    with pytest.raises(TrainingError, match=f"{name} is {value}"):
        TrainingOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {name: value}
        for name in ("epochs", "batch_size", "patience", "warmup", "keep_rows", "seed")
        for value in (2.5, 32.0, "3", True)
    ]
    + [{"learning_rate": "fast"}, {"clip": None}, {"held_out": True}, {"max_seconds": "1"}]
    + [{"seed": 2**64}, {"seed": -(2**63) - 1}],
)
def test_options_of_another_type_are_refused(options: dict[str, Any]) -> None:
    """An integer must be one; the option, its value and what is expected are named."""
    ((name, value),) = options.items()
    with pytest.raises(TrainingError, match=rf"^{name} is {re.escape(repr(value))}; expected"):
        TrainingOptions(**options)


@pytest.mark.parametrize("options", [{}, {"epochs": 3}, 3, TrainingOptions])
def test_options_are_training_options(options: Any) -> None:
    """A dict or a number gives an error that says what is expected."""
    with pytest.raises(TrainingError, match=r"options is .*; expected TrainingOptions\("):
        fit(new_flow(), banana(), options=options)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda flow: flow.half(), "is torch.float16; expected all float32 or all float64"),
        (lambda flow: flow.bfloat16(), "is torch.bfloat16; expected"),
        (lambda flow: flow.transforms[2].double(), "is torch.float32 and .* is torch.float64"),
        (lambda flow: flow.to("meta"), "has no values"),
        (lambda flow: flow.requires_grad_(False), "none of the flow's weights is trainable"),
    ],
)
def test_a_flow_that_cannot_be_trained_is_refused(change: Callable[..., Any], said: str) -> None:
    """The error says what to do, and is raised before the rows are read."""
    flow = new_flow()
    change(flow)
    with pytest.raises(TrainingError, match=said):
        fit(flow, None)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_nothing_is_trained_without_gradients(off: Callable[[], Any]) -> None:
    """fit inside no_grad or inference_mode, or a flow from there, gives an error."""
    with off(), pytest.raises(TrainingError, match="gradients are off"):
        fit(new_flow(), banana())
    with torch.inference_mode():
        made = new_flow()
    with pytest.raises(TrainingError, match=r"was made in torch\.inference_mode"):
        fit(made, banana())


def test_something_else_is_not_trained() -> None:
    """Another module is named by its class."""
    with pytest.raises(TrainingError, match="of class Linear; expected an RNVP"):
        fit(torch.nn.Linear(2, 2), banana())


def test_a_flow_that_cannot_be_saved_is_named_before_training(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A flow with pruned weights is trained, after a warning that save would refuse it."""
    flow = new_flow()
    prune.l1_unstructured(flow.transforms[1].joint_net.layers[0], "weight", 0.5)
    fit(flow, banana(), options=TrainingOptions(1))
    assert "not saved: its module transforms.1.joint_net.layers.0 has a forward" in caplog.text


def test_a_training_that_diverged_at_once_is_an_error() -> None:
    """If no epoch ends with a finite loss, TrainingError says what to change."""
    flow = new_flow(RNVPConfig(dim=2, couplings=2, hidden=(8,), scale=scales.Exp()))
    options = TrainingOptions(epochs=3, learning_rate=1e30, warmup=0)
    with pytest.raises(TrainingError, match=r"diverged: from the first .* Lower the learning rate"):
        fit(flow, banana(), options=options)


def break_from(epoch: int, flow: RNVP) -> Callable[[Epoch], None]:
    """A ``progress`` that makes every loss infinite from this epoch on."""

    def progress(done: Epoch) -> None:
        if done.number == epoch - 1:
            flow.register_forward_hook(lambda _m, _i, out: (out[0], out[1] * math.inf, out[2]))

    return progress


def test_a_training_that_diverged_late_is_an_error() -> None:
    """It stops after three such epochs, names the first one, and the best weights are kept."""
    flow, seen = new_flow(), []
    break_it = break_from(4, flow)

    def progress(epoch: Epoch) -> None:
        seen.append(epoch)
        break_it(epoch)

    options = TrainingOptions(epochs=50, batch_size=64)
    with pytest.raises(TrainingError, match="from epoch 4 on, the held-out loss is inf and 100%"):
        fit(flow, banana(), options=options, progress=progress)
    assert [epoch.number for epoch in seen] == [1, 2, 3, 4, 5, 6]
    assert not any(epoch.best for epoch in seen[3:])
    after_three = new_flow()
    stopped_after(3, after_three, banana(), options)
    assert same_weights(flow, after_three)


def test_an_epoch_without_a_finite_batch_is_never_the_best() -> None:
    """Such an epoch learns nothing, although its held-out rows have a finite loss."""
    flow = new_flow()
    flow.register_forward_hook(
        lambda module, _i, out: (out[0], out[1] * math.nan, out[2]) if module.training else None
    )
    with pytest.raises(TrainingError, match="diverged"):
        fit(flow, banana(), options=SHORT)


def test_skipped_batches_are_counted() -> None:
    """A batch whose loss is not finite is skipped; the epoch says how many were."""
    flow, calls = new_flow(), itertools.count()

    def spoil(module: torch.nn.Module, _inputs: object, out: tuple[torch.Tensor, ...]) -> Any:
        if module.training and next(calls) % 5 == 1:
            return out[0], out[1] * math.nan, out[2]
        return None

    flow.register_forward_hook(spoil)
    training = fit(flow, banana(), options=SHORT)
    assert [(epoch.batches, epoch.skipped) for epoch in training.epochs] == [(5, 1)] * 6
    assert all(math.isfinite(epoch.train) for epoch in training.epochs)
    assert training.record["skipped"] == [1] * 6


@pytest.mark.parametrize("unit", [1e-30, 1e25])
def test_float32_flows_train_in_any_unit(unit: float) -> None:
    """The standardisation is computed in float64, since squares leave the range of float32."""
    one, other = new_flow(), new_flow()
    training = fit(one, banana(), options=SHORT)
    scaled = fit(other, banana() * unit, options=SHORT)
    expected = training.best.held_out + 2 * math.log(unit)
    assert scaled.best.held_out == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("unit", "dtype"),
    [(1e-42, "float32"), (2e37, "float32"), (1e-320, "float64"), (1e160, "float64")],
)
def test_units_outside_the_dtypes_range_are_refused(unit: float, dtype: str) -> None:
    """Standardisation would divide by a number that the dtype does not have."""
    flow = new_flow() if dtype == "float32" else new_flow().double()
    x = np.random.default_rng(0).normal(size=(100, 2)) * [1.0, unit]
    with pytest.raises(TrainingError, match=f"'x1' has standard deviation .* for a {dtype} flow"):
        fit(flow, x)


def test_the_default_length_follows_the_rows() -> None:
    """Small tables get small batches and many epochs; large ones at least 20 epochs."""
    options = TrainingOptions()
    assert [options.batch_size_for(rows) for rows in (100, 3200, 10**6)] == [64, 200, 512]
    assert [options.epochs_for(batches) for batches in (1, 100, 10**4)] == [250, 80, 20]


def test_a_column_that_float32_cannot_resolve_is_refused() -> None:
    """For timestamps of one hour, float32 has steps of 128 seconds."""
    draw = np.random.default_rng(0)
    time = 1.7e9 + draw.uniform(0, 3600, 200)
    x = np.stack([time, draw.normal(size=200)], -1)
    flow = RNVP(RNVPConfig(dim=2, hidden=(4,), couplings=2), ("time", "y"))
    with pytest.raises(
        TrainingError, match=r"'time' has mean .* float32 has only 8.. steps: train in float64"
    ):
        fit(flow, x)
