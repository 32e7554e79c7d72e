"""The peak memory of a process. It imports nothing large, which would be part of the figure."""

import sys
from pathlib import Path

__all__ = ["peak_memory"]


def peak_memory() -> int:
    """The most bytes of this process that were resident at once."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent had when it forked
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
