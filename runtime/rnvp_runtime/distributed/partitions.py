"""The work on one partition, for every engine: score its rows, or draw a part of the samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing
from rnvp_runtime.distributed.worker_flows import BundleForWorkers, flow_of
from rnvp_runtime.errors import InputError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.flow import Flow
from rnvp_runtime.inputs import rows_of
from rnvp_runtime.padded_rows import padded_log_prob
from rnvp_runtime.sampling import BATCH_ROWS
from rnvp_runtime.stream import fresh_seed, signed_seed
from rnvp_runtime.stream_parts import part_bounds, sample_part
from rnvp_runtime.tables import finite_rows

__all__ = ["OnGaps", "Samples", "arrow_scored", "check_columns", "log_prob_of"]

OnGaps = Literal["error", "keep"]
"""Rows with a null, NaN or infinity: an error, or rows with a log_prob of NaN."""

_PART_ROWS = 16 * BATCH_ROWS


def check_columns(flow: Flow, names: Sequence[Any], gaps: OnGaps) -> None:
    """Refuse a table that lacks a column of ``flow``, or has one called log_prob.

    Raises:
        InputError: names the column; or ``gaps`` is neither ``"error"`` nor ``"keep"``.
    """
    if gaps not in ("error", "keep"):
        raise InputError(f"nan is {gaps!r}, expected 'error' or 'keep' on a cluster")
    labels = [str(name) for name in names]
    if "log_prob" in labels:
        raise InputError("the table has a column log_prob already: rename it")
    if missing := explain_missing(flow.columns + flow.context_columns, labels):
        raise InputError(f"the table has {missing}")


def log_prob_of(
    frame: Any, bundle: BundleForWorkers, gaps: OnGaps, threads: int = 1
) -> NDArray[Any]:
    """The log-densities of the rows of a partition.

    Args:
        frame: a table of pandas or pyarrow, in memory, with the columns of the flow and of its
            context in any order, and others.
        bundle: the density.
        gaps: what to do with rows without a finite number.
        threads: of the flow.

    Returns:
        (n,), nats, in the flow's dtype.

    Raises:
        InputError: a column is missing or holds no numbers, or rows have gaps and ``gaps`` is
            ``"error"``. The text has the first of these rows.
    """
    flow = flow_of(bundle, threads)
    rows = rows_of(frame, "the partition", flow.columns + flow.context_columns, np.float64)
    out = np.empty(len(rows), flow.manifest.dtype)
    for low in range(0, len(rows), BATCH_ROWS):
        high = min(low + BATCH_ROWS, len(rows))
        numbers = rows.block(low, high)
        if gaps == "error":
            _refuse_gaps(numbers, flow)
        x, context = numbers[:, : flow.dim], numbers[:, flow.dim :] if flow.context_dim else None
        out[low:high] = padded_log_prob(flow, x, context)
    return out


def arrow_scored(table: Any, bundle: BundleForWorkers, gaps: OnGaps, threads: int = 1) -> Any:
    """A table of pyarrow with a last column ``log_prob``, null where the flow reads a null.

    Args:
        table: a table of pyarrow.
        bundle, gaps, threads: as for `log_prob_of`.

    Raises:
        InputError: as for `log_prob_of`.
    """
    arrow = import_extra("pyarrow")
    log_prob = log_prob_of(table, bundle, gaps, threads)
    flow = flow_of(bundle, threads)
    nulls = np.zeros(len(log_prob), bool)
    for name in flow.columns + flow.context_columns:
        if table[name].null_count:
            nulls |= table[name].is_null().to_numpy()
    return table.append_column("log_prob", arrow.array(log_prob, mask=nulls))


def _refuse_gaps(numbers: NDArray[np.float64], flow: Flow) -> None:
    bad = np.flatnonzero(~finite_rows(numbers, flow.manifest.dtype))
    if len(bad):
        names = flow.columns + flow.context_columns
        first = ", ".join(f"{n}={v:g}" for n, v in zip(names, numbers[bad[0]], strict=True))
        raise InputError(
            f"{len(bad):,} rows of a partition hold no finite number, the first is {first}: "
            "correct them, or pass nan='keep'"
        )


@dataclass(frozen=True)
class Samples:
    """The samples of a seed, to be drawn in parts; see `rnvp_runtime.sample_table`."""

    bundle: BundleForWorkers
    n: int
    seed: int
    start: int
    temperature: float
    context: list[list[float]] | None
    log_prob: bool
    bounds: tuple[int, ...]  # of the parts, from 0 to n
    threads: int = 1

    @classmethod
    def planned(
        cls,
        bundle: BundleForWorkers,
        n: int,
        *,
        seed: int | None,
        partitions: int | None,
        start: int,
        temperature: float,
        context: Any,
        log_prob: bool,
        threads: int,
    ) -> "Samples":
        """Samples in ``partitions`` parts; by default of some million rows each.

        Raises:
            InputError: an argument does not fit the flow.
        """
        if n < 0 or (partitions is not None and partitions < 1):
            raise InputError(f"n is {n} and partitions {partitions}: at least 0, and at least 1")
        if partitions is None:
            bounds = (*range(0, n, _PART_ROWS), n) if n else (0, 0)
        else:
            bounds = tuple(part_bounds(n, partitions))
        row = None if context is None else np.asarray(context, float).reshape(1, -1).tolist()
        whole = signed_seed(fresh_seed() if seed is None else seed)
        plan = cls(bundle, n, whole, start, temperature, row, log_prob, bounds, threads)
        list(plan.rows(0, 0))  # refuses what does not fit, before the job
        return plan

    @property
    def dtypes(self) -> Mapping[str, np.dtype[Any]]:
        """The columns and their dtype."""
        flow = flow_of(self.bundle, self.threads)
        names = (*flow.columns, "log_prob") if self.log_prob else flow.columns
        return dict.fromkeys(names, np.dtype(flow.manifest.dtype))

    def rows(self, low: int, high: int) -> Iterator[Mapping[str, NDArray[Any]]]:
        """The columns of rows ``low`` ... ``high - 1``, some ten thousand rows at a time."""
        for drawn in sample_part(
            flow_of(self.bundle, self.threads),
            low,
            high,
            self.n,
            seed=self.seed,
            start=self.start,
            temperature=self.temperature,
            context=self.context,
            log_prob=self.log_prob,
        ):
            yield {name: np.asarray(column) for name, column in drawn.columns.items()}

    def part(self, low: int, high: int) -> Mapping[str, NDArray[Any]]:
        """The columns of rows ``low`` ... ``high - 1``, in one piece."""
        pieces = list(self.rows(low, high))
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
