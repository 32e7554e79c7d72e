"""Rows of concurrent requests computed together.

Requests that arrive while a batch is computed form the next batch. A request does not wait for
others, and batches grow under load.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.serving.protocol import ProtocolError

__all__ = ["Batcher"]

Array = NDArray[Any]
Rows = Mapping[str, Array]


@dataclass
class _Waiting:
    rows: int
    inputs: Rows
    result: "asyncio.Future[Rows]"


class Batcher:
    """Gathers requests for one computation.

    Args:
        compute: (inputs) -> outputs, of any number of rows; called in the executor.
        executor: where it is called.
        most_rows: of a batch; a larger request is a batch of its own.
        most_waiting: rows; more are refused.
        observe: called with the rows of each batch.
    """

    def __init__(
        self,
        compute: Callable[[Rows], Rows],
        executor: Executor,
        *,
        most_rows: int,
        most_waiting: int,
        observe: Callable[[int], None],
    ) -> None:
        self._compute, self._executor, self._observe = compute, executor, observe
        self._most_rows, self._most_waiting = most_rows, most_waiting
        self._waiting: list[_Waiting] = []
        self._rows = 0
        self._task: asyncio.Task[None] | None = None

    async def submit(self, inputs: Rows, rows: int) -> Rows:
        """The outputs for these rows.

        Raises:
            ProtocolError: too many rows wait already.
        """
        if self._rows and self._rows + rows > self._most_waiting:
            raise ProtocolError("too many rows wait to be computed: try again later", 503)
        entry = _Waiting(rows, inputs, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._rows += rows
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await entry.result

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._next()
            try:
                outputs = await loop.run_in_executor(self._executor, self._together, batch)
            except Exception as error:
                for entry in batch:
                    if not entry.result.done():
                        entry.result.set_exception(error)
                continue
            finally:
                self._rows -= sum(entry.rows for entry in batch)
            at = 0
            for entry in batch:
                if not entry.result.done():  # its client may have gone
                    entry.result.set_result(
                        {name: array[at : at + entry.rows] for name, array in outputs.items()}
                    )
                at += entry.rows

    def _next(self) -> list[_Waiting]:
        batch, rows = [self._waiting.pop(0)], 0
        rows = batch[0].rows
        while self._waiting and rows + self._waiting[0].rows <= self._most_rows:
            rows += self._waiting[0].rows
            batch.append(self._waiting.pop(0))
        return batch

    def _together(self, batch: list[_Waiting]) -> Rows:
        self._observe(sum(entry.rows for entry in batch))
        if len(batch) == 1:
            return self._compute(batch[0].inputs)
        names = batch[0].inputs
        return self._compute(
            {name: np.concatenate([entry.inputs[name] for entry in batch]) for name in names}
        )
