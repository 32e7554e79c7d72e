"""A competitor in a process of its own, which times its own calls when it is told to.

In one process they would share a heap and thread pools, and change each other's times: whether
PyTorch's large tensors come from the heap or page by page from the system, which is half of
65,536 rows of a small flow, would hang on what others had allocated before.

``python -m benchmarks.worker COMPETITOR FOLDER DIM THREADS`` is the process. It reads pickled
requests from standard input and writes a pickled reply to each.
"""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.competitors import COMPETITORS
from benchmarks.racing import Calls

__all__ = ["Remote", "Worker"]

ROOT = Path(__file__).parents[1]


class Worker:
    """The near end of such a process; a context that ends it."""

    def __init__(self, competitor: str, folder: Path, dim: int, threads: int) -> None:
        self._name = f"{competitor} on {threads} threads"
        command = [sys.executable, "-m", "benchmarks.worker", competitor, str(folder)]
        self._process = subprocess.Popen(
            [*command, str(dim), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its input, and waits

    def call(self, function: str, argument: Any) -> Any:
        """What the engine's ``function`` gives for ``argument``."""
        return self.ask("call", function, argument)

    def ask(self, *request: Any) -> Any:
        """The reply to a request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(request, self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError):
            raise RuntimeError(f"{self._name} ended; its own error is above") from None


class Remote:
    """One function of a worker's engine for one argument, as a contestant."""

    def __init__(self, worker: Worker, function: str, argument: Any) -> None:
        self._worker, self._function, self._argument = worker, function, argument

    def prepare(self, seconds: float) -> None:
        self._worker.ask("prepare", self._function, self._argument, seconds)

    def turn(self) -> float:
        return float(self._worker.ask("turn", self._function))


def main() -> None:
    competitor, folder, dim, threads = sys.argv[1:]
    replies, sys.stdout = sys.stdout.buffer, sys.stderr  # whatever else is printed is no reply
    engine = COMPETITORS[competitor](Path(folder), int(dim), int(threads))
    timed: dict[str, Calls] = {}
    while True:
        try:
            action, function, *given = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        reply: Any = None
        if action == "call":
            reply = getattr(engine, function)(*given)
        elif action == "prepare":
            argument, seconds = given
            call = getattr(engine, function)
            timed[function] = Calls(lambda call=call, argument=argument: call(argument))  # type: ignore[misc]
            timed[function].prepare(seconds)
        else:
            reply = timed[function].turn()
        pickle.dump(reply, replies)
        replies.flush()


if __name__ == "__main__":
    main()
