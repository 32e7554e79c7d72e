"""``fit``: train a flow on rows."""

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from rnvp_deploy.changes import find_change, find_unusable_dtype, unwrapped
from rnvp_deploy.errors import TrainingError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.training.baseline import gaussian_log_prob
from rnvp_deploy.training.data_warnings import DataWarning
from rnvp_deploy.training.degenerate import find_degenerate
from rnvp_deploy.training.loop import TrainingLoop
from rnvp_deploy.training.notes import training_notes
from rnvp_deploy.training.options import TrainingOptions
from rnvp_deploy.training.progress import EpochProgress
from rnvp_deploy.training.result import StopReason, Training
from rnvp_deploy.training.rows import refuse_constants, rows_of_table
from rnvp_deploy.training.state import Epoch, recorded_options
from rnvp_deploy.training.summary import held_out_sample, summarise, summarise_columns
from rnvp_deploy.training.table import Table, read_table

__all__ = ["fit"]

_DIVERGED_EPOCHS = 3  # training stops after this many consecutive epochs that diverged

_log = logging.getLogger("rnvp_deploy")


def fit(
    flow: RNVP,
    x: Any,
    context: Any = None,
    *,
    options: TrainingOptions | None = None,
    verbose: bool = False,
    progress: Callable[[Epoch], None] | None = None,
    resume: Mapping[str, Any] | None = None,
    warm_start: bool = False,
) -> Training:
    """Train ``flow`` on ``x`` in place. Afterwards it holds the best weights, in eval mode.

    Ctrl-C after the first epoch ends the training early: the best weights so far are kept, and
    the ``rnvp_deploy`` logger says so in a warning.

    Args:
        flow: A new flow or, with ``resume``, the flow that the checkpoint holds. One of
            ``torch.compile`` or ``DataParallel`` is unwrapped.
        x: (n, d) array or tensor, or a data frame with ``flow.columns``. A flow with default
            column names (x0, x1, ...) takes the names of the data frame.
        context: (n, c), for a conditional flow. Default: its columns in the data frame ``x``.
        options: Default: the options of ``resume``, or ``TrainingOptions()``.
        verbose: Show a progress line on standard error.
        progress: Called after each epoch.
        resume: The record of an earlier training, from ``read_training``. The same rows are
            needed. ``options`` may ask for more epochs, patience or seconds.
        warm_start: Keep what the flow has learnt, its standardisation included, and train it
            further on new rows. Otherwise the layers that are set from data are set from ``x``.

    Returns:
        The losses, the best epoch, and the record for the checkpoint.

    Raises:
        TrainingError: The flow, the rows or the options cannot be used, or gradients are off, and
            the flow is unchanged; or training diverged, and the flow holds the best weights before
            that.
        InputError: ``x`` or ``context`` does not fit the flow, and the flow is unchanged.
        KeyboardInterrupt: Ctrl-C before the first epoch was complete.
    """
    began = time.perf_counter()
    flow = unwrapped(flow)
    _refuse_untrainable(flow)
    if options is None:
        options = recorded_options(resume) if resume is not None else TrainingOptions()
    if not isinstance(options, TrainingOptions):
        raise TrainingError(f"options is {options!r:.80}; expected TrainingOptions(epochs=…, …)")
    if resume is not None:
        _refuse_changed_batches(options, resume)
        if warm_start:
            raise TrainingError("resume and warm_start were both given; expected one of them")
    table = read_table(flow, x, context)
    loop = TrainingLoop(flow, rows_of_table(flow, table), options)
    if resume is None:
        refuse_constants(loop.train_rows.x, table.columns, fixed=warm_start)
        loop.start(initialise=not warm_start)
    else:
        loop.restore(resume)
    flow.columns, flow.context_columns = table.columns, table.context_columns
    if (change := find_change(flow)) is not None:
        _log.warning("this flow can be trained, but not saved: %s", change)
    warnings = _warn(flow, table)
    columns = summarise_columns(table)
    del table  # its float64 copy of the rows is not needed during training
    start_loss = -float(loop.held_out_log_prob().mean()) if warm_start else None
    with EpochProgress() if verbose else nullcontext() as line:
        stopped = _run_epochs(loop, began, [call for call in (line, progress) if call is not None])
    state = loop.state
    flow.load_state_dict(state.best_weights)
    flow.eval()
    epochs = state.history(loop.planned_epochs, loop.batches)
    _refuse_divergence(epochs, stopped)
    log_prob = loop.held_out_log_prob()
    baseline = gaussian_log_prob(loop.train_rows, loop.held_out_rows)
    result = Training(
        epochs=epochs,
        best=epochs[state.best - 1],
        stopped=stopped,
        seconds=time.perf_counter() - began,
        rows=len(loop.train_rows),
        held_out_rows=len(loop.held_out_rows),
        gaussian=None if baseline is None else -float(baseline.mean()),
        warnings=warnings,
        notes=training_notes(flow, epochs, log_prob, baseline, start_loss),
        record=state.record(options, loop.fingerprint),
    )
    sample = held_out_sample(loop.held_out_rows, options.keep_rows)
    result.record["summary"] = summarise(result, columns, log_prob, sample).plain()
    return result


def _refuse_untrainable(flow: RNVP) -> None:
    """Refuse a flow whose weights no optimizer could move, here or at all."""
    if not isinstance(flow, RNVP):
        raise TrainingError(f"flow is of class {type(flow).__name__}; expected an RNVP")
    if (unusable := find_unusable_dtype(flow)) is not None:
        raise TrainingError(f"this flow cannot be trained: {unusable}")
    if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
        raise TrainingError(
            "gradients are off: call fit outside of torch.no_grad and torch.inference_mode"
        )
    if any(tensor.is_inference() for tensor in (*flow.parameters(), *flow.buffers())):
        raise TrainingError(
            "the flow was made in torch.inference_mode, where nothing is trained: make it outside"
        )
    if not any(parameter.requires_grad for parameter in flow.parameters()):
        raise TrainingError(
            "none of the flow's weights is trainable: call flow.requires_grad_(), or add a "
            "transform that has weights"
        )


def _warn(flow: RNVP, table: Table) -> tuple[DataWarning, ...]:
    """Log a warning for each kind of degenerate column, after the flow's maps are applied."""
    x, maps = table.x, flow.elementwise
    dequantised: tuple[str, ...] = ()
    if maps is not None:
        x = copy.deepcopy(maps).double().cpu()(torch.from_numpy(x))[0].numpy()
        named = zip(table.columns, maps.spec.columns, strict=True)
        dequantised = tuple(name for name, column in named if column.integer)
    warnings = find_degenerate(
        x,
        table.columns,
        table.context,
        table.context_columns,
        float32=flow.dtype == torch.float32,
        dequantised=dequantised,
    )
    for warning in warnings:
        _log.warning("%s", warning.message)
    return warnings


def _run_epochs(
    loop: TrainingLoop, began: float, progress: Sequence[Callable[[Epoch], None]]
) -> StopReason:
    """Run epochs until there is a reason to stop."""
    limit = loop.options.max_seconds
    diverged = 0
    try:
        while loop.state.completed < loop.planned_epochs:
            epoch = loop.run_epoch()
            for call in progress:
                call(epoch)
            diverged = diverged + 1 if epoch.diverged else 0
            if diverged == _DIVERGED_EPOCHS:
                return "diverged"
            if loop.patience_exhausted:
                return "patience"
            if limit is not None and time.perf_counter() - began >= limit:
                return "max_seconds"
    except KeyboardInterrupt:
        if not loop.state.best:
            raise
        _log.warning(
            "interrupted in epoch %d: the best weights so far, of epoch %d, are kept",
            loop.state.completed + 1,
            loop.state.best,
        )
        return "interrupt"
    return "epochs"


def _refuse_divergence(history: tuple[Epoch, ...], stopped: StopReason) -> None:
    """Raise TrainingError if the last epochs of the training diverged, or all of them."""
    good = [epoch for epoch in history if not epoch.diverged]
    if good and (not history[-1].diverged or stopped == "interrupt"):
        return
    if good:
        since = f"from epoch {good[-1].number + 1} on"
        best = min(good, key=lambda epoch: epoch.held_out)
        kept = f" (the best epoch before that, {best.number}, had {best.held_out:.4f} nats a row)"
    else:
        since, kept = "from the first epoch on", ""
    last = history[-1]
    raise TrainingError(
        f"training diverged: {since}, the held-out loss is {last.held_out:.4g} and "
        f"{last.skipped / last.batches:.0%} of the batches have a loss or gradient that is not "
        f"finite{kept}. Lower the learning rate, use a bounded scale function such as tanh, or "
        "transform columns with heavy tails"
    )


def _refuse_changed_batches(options: TrainingOptions, record: Mapping[str, Any]) -> None:
    """Refuse options that would change the batches of the training that is to be resumed."""
    earlier = recorded_options(record)
    for name in ("seed", "held_out", "batch_size"):
        old, new = getattr(earlier, name), getattr(options, name)
        if old != new:
            raise TrainingError(
                f"{name} was {old} in the training that is to be resumed; it cannot become {new}"
            )
