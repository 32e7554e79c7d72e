"""Training: maximum likelihood, with rows held out and the best weights kept.

    flow = rnvp_deploy.RNVP(rnvp_deploy.RNVPConfig(dim=2))
    result = rnvp_deploy.fit(flow, x)
    rnvp_deploy.save(flow, "model.pt", training=result.record)

Adam under a cosine schedule, gradients clipped, weights averaged. After each epoch the held-out
rows are scored; at the end the flow holds the weights that scored best. Everything random comes
from one seeded generator, so the same rows, options and initial weights give the same bits. What
a training is in the middle of is a ``record`` of plain values: a checkpoint stores it, and
``fit`` goes on from it as if it had never stopped.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rnvp_deploy.errors import TrainingError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.training_options import TrainingOptions
from rnvp_deploy.training_rows import read_rows
from rnvp_deploy.training_run import RECORDED, Epoch, Run

__all__ = ["Epoch", "Training", "TrainingOptions", "fit", "recorded_options"]

Stopped = Literal["epochs", "patience", "max_seconds", "interrupt"]


@dataclass(frozen=True)
class Training:
    """What ``fit`` did."""

    epochs: tuple[Epoch, ...]
    best: Epoch  # the flow holds the weights of its end
    stopped: Stopped  # what ended it
    seconds: float  # of this call
    rows: int  # trained on
    held_out_rows: int
    record: dict[str, Any]  # for ``save(…, training=record)``


def fit(
    flow: RNVP,
    x: Any,
    context: Any = None,
    *,
    options: TrainingOptions | None = None,
    progress: Callable[[Epoch], None] | None = None,
    resume: Mapping[str, Any] | None = None,
) -> Training:
    """Train ``flow`` on ``x`` in place; afterwards it holds the best weights, in eval mode.

    Ctrl-C ends training as if it had run out of epochs, once the first epoch is done: the best
    weights so far are kept, and a warning of the ``rnvp_deploy`` logger says so.

    Args:
        flow: newly made, or, to resume, as the checkpoint holds it.
        x: (n, d) array or tensor, or a data frame that has ``flow.columns``.
        context: (n, c), for a conditional flow; by default looked for in the data frame ``x``.
        options: by default those of ``resume``, or ``TrainingOptions()``.
        progress: called after each epoch.
        resume: the record of an earlier training, as ``read_training`` gives it. The same rows
            are needed; more epochs, patience or seconds may be asked for in ``options``.

    Raises:
        TrainingError, InputError: the rows cannot be learnt from, and nothing was changed; or
            no epoch ended with a finite loss.
    """
    began = time.perf_counter()
    if options is None:
        options = recorded_options(resume) if resume is not None else TrainingOptions()
    if resume is not None:
        _refuse_other_batches(options, resume)
    run = Run(flow, read_rows(flow, x, context), options)
    if resume is None:
        run.begin()
    else:
        run.restore(resume)
    stopped = _train(run, began, progress)
    state = run.state
    flow.load_state_dict(state.best_weights)
    flow.eval()
    if not state.best:
        raise TrainingError(
            "every epoch ended with a loss that is not a number: lower the learning rate, or use "
            "a bounded scale function such as Tanh()"
        )
    history = state.history(run.epochs)
    return Training(
        epochs=history,
        best=history[state.best - 1],
        stopped=stopped,
        seconds=time.perf_counter() - began,
        rows=len(run.train),
        held_out_rows=len(run.held),
        record=state.record(options, run.fingerprint),
    )


def _train(run: Run, began: float, progress: Callable[[Epoch], None] | None) -> Stopped:
    try:
        while run.state.epoch < run.epochs:
            epoch = run.epoch()
            if progress is not None:
                progress(epoch)
            if run.tired:
                return "patience"
            limit = run.options.max_seconds
            if limit is not None and time.perf_counter() - began >= limit:
                return "max_seconds"
    except KeyboardInterrupt:
        if not run.state.best:
            raise
        logging.getLogger("rnvp_deploy").warning(
            "interrupted in epoch %d: the best weights so far, of epoch %d, are kept",
            run.state.epoch + 1,
            run.state.best,
        )
        return "interrupt"
    return "epochs"


def recorded_options(record: Mapping[str, Any]) -> TrainingOptions:
    """The options in the record of a training; TrainingError if it is no such record."""
    try:
        options = TrainingOptions(**record["options"])
    except (KeyError, TypeError):
        options = None
    if options is None or not record.keys() >= RECORDED:
        raise TrainingError("there is no training in it that could be resumed")
    return options


def _refuse_other_batches(options: TrainingOptions, record: Mapping[str, Any]) -> None:
    before = recorded_options(record)
    for name in ("seed", "held_out", "batch_size"):
        old, new = getattr(before, name), getattr(options, name)
        if old != new:
            raise TrainingError(
                f"{name} was {old} in the training that is to be resumed; it cannot become {new}"
            )
