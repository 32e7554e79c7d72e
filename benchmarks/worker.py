"""A competitor in its own process, which times its own calls on request.

In one process, competitors would share a heap and thread pools and change each other's times. For
example, PyTorch's large tensors come from the heap or page by page from the system, depending on
earlier allocations; that is half the time of 65,536 rows of a small flow.

``python -m benchmarks.worker COMPETITOR FOLDER DIM THREADS`` is the process. It reads pickled
requests from standard input and writes a pickled reply to each.
"""

import pickle
import subprocess
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmarks.competitors import COMPETITORS, Files
from benchmarks.racing import Calls

__all__ = ["Remote", "Worker"]

ROOT = Path(__file__).parents[1]


class Worker:
    """The parent's side of such a process. Leaving its context ends the process."""

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
        """What the competitor's ``function`` returns for ``argument``."""
        return self.request("call", function, argument)

    def request(self, *message: Any) -> Any:
        """Send a request and return the reply."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError):
            raise RuntimeError(f"{self._name} ended; its own error is above") from None


class Remote:
    """One function of a worker for one argument, as a contestant."""

    def __init__(self, worker: Worker, function: str, argument: Any) -> None:
        self._worker, self._function, self._argument = worker, function, argument

    def prepare(self, seconds: float) -> None:
        self._worker.request("prepare", self._function, self._argument, seconds)

    def turn(self) -> float:
        return float(self._worker.request("turn", self._function))


def main() -> None:
    """Answer requests until standard input ends."""
    competitor, folder, dim, threads = sys.argv[1:]
    replies, sys.stdout = sys.stdout.buffer, sys.stderr  # other output must not mix with replies
    files = Files(Path(folder), int(dim), int(threads))
    opened = cache(partial(COMPETITORS[competitor].open, files))
    timed: dict[str, Calls] = {}
    while True:
        try:
            action, function, *given = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        reply: Any = None
        if action == "call":
            reply = opened(function)(*given)
        elif action == "prepare":
            argument, seconds = given
            timed[function] = Calls(partial(opened(function), argument))
            timed[function].prepare(seconds)
        else:
            reply = timed[function].turn()
        pickle.dump(reply, replies)
        replies.flush()


if __name__ == "__main__":
    main()
