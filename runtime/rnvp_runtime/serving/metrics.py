"""Counters and histograms of the server, in the text format of Prometheus."""

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_ROWS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)


class _Histogram:
    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: str) -> list[str]:
        found, so_far = [], 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            so_far += count
            found.append(f'{name}_bucket{{{labels},le="{bound}"}} {so_far}')
        return [
            *found,
            f"{name}_sum{{{labels}}} {self.total}",
            f"{name}_count{{{labels}}} {so_far}",
        ]


class Metrics:
    """Counts since the start of the server. The methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, int], int] = defaultdict(int)
        self._rows: dict[str, int] = defaultdict(int)
        self._seconds: dict[str, _Histogram] = defaultdict(lambda: _Histogram(_SECONDS))
        self._batches: dict[str, _Histogram] = defaultdict(lambda: _Histogram(_ROWS))
        self._swaps = 0

    def request(self, model: str, status: int, seconds: float, rows: int) -> None:
        """A request was answered."""
        with self._lock:
            self._requests[model, status] += 1
            self._seconds[model].add(seconds)
            self._rows[model] += rows

    def batch(self, model: str, rows: int) -> None:
        """A batch is computed."""
        with self._lock:
            self._batches[model].add(rows)

    def swapped(self) -> None:
        """Another bundle took the place of the one before."""
        with self._lock:
            self._swaps += 1

    def text(self, bundle: str) -> str:
        """All counters and histograms, and the id of the bundle that is served."""
        with self._lock:
            lines = ["# TYPE rnvp_requests_total counter"]
            for (model, status), count in sorted(self._requests.items()):
                lines.append(f'rnvp_requests_total{{model="{model}",status="{status}"}} {count}')
            lines.append("# TYPE rnvp_rows_total counter")
            lines += [f'rnvp_rows_total{{model="{m}"}} {n}' for m, n in sorted(self._rows.items())]
            lines.append("# TYPE rnvp_request_seconds histogram")
            for model, seconds in sorted(self._seconds.items()):
                lines += seconds.lines("rnvp_request_seconds", f'model="{model}"')
            lines.append("# TYPE rnvp_batch_rows histogram")
            for model, rows in sorted(self._batches.items()):
                lines += rows.lines("rnvp_batch_rows", f'model="{model}"')
            lines.append("# TYPE rnvp_bundle_swaps_total counter")
            lines.append(f"rnvp_bundle_swaps_total {self._swaps}")
            lines.append("# TYPE rnvp_bundle_info gauge")
            lines.append(f'rnvp_bundle_info{{id="{bundle}"}} 1')
        return "\n".join(lines) + "\n"
