"""The cost of a job: seconds of the clock and of CPU, divided into a start and rows.

On a busy machine, CPU seconds are more reliable than clock seconds.
"""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Costs", "Seconds", "timed"]

PAUSE = 0.2  # seconds between two samples of the CPU times


@dataclass(frozen=True)
class Seconds:
    """The seconds of one job.

    Attributes:
        clock: The seconds from the start to the end of its first process.
        cpu: The user and system seconds of this process and of all below it.
    """

    clock: float
    cpu: float


def timed(command: Sequence[str]) -> Seconds:
    """Run a command to its end. Processes below it that live less than 0.2 s are not counted.

    Raises:
        AssertionError: The command failed; the text has its standard error.
    """
    import psutil

    cpu: dict[tuple[int, float], float] = {}
    began = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        while process.poll() is None:
            try:
                found = [process, *process.children(recursive=True)]
            except psutil.NoSuchProcess:
                break
            for each in found:
                try:
                    times = each.cpu_times()
                    cpu[each.pid, each.create_time()] = times.user + times.system
                except psutil.NoSuchProcess:
                    continue
            time.sleep(PAUSE)
        code = process.wait()
        seconds = time.monotonic() - began
        errors.seek(0)
        assert code == 0, f"{' '.join(command)}\n{errors.read().decode()}"
    return Seconds(seconds, sum(cpu.values()))


@dataclass
class Costs:
    """The seconds of an engine's jobs, by their number of rows."""

    jobs: dict[int, list[Seconds]] = field(default_factory=dict)

    def add(self, rows: int, seconds: Seconds) -> None:
        """Add a job."""
        self.jobs.setdefault(rows, []).append(seconds)

    def median(self, rows: int, kind: str) -> float:
        """The median of ``clock`` or ``cpu`` of the jobs with this number of rows."""
        return statistics.median(getattr(seconds, kind) for seconds in self.jobs[rows])

    def line(self, kind: str) -> tuple[float, float]:
        """Seconds of a job without rows, and of a row: the line through both medians."""
        few, many = sorted(self.jobs)
        low, high = self.median(few, kind), self.median(many, kind)
        slope = (high - low) / (many - few)
        return low - slope * few, slope
