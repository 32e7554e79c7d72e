"""Charts as HTML with a stretchable SVG: text keeps its size on a phone, colours follow the page.

The plotting area is an SVG without text that is stretched to its place. Tick labels and names are
HTML beside it, so that they are as large as the page's text at every width. Colours are classes of
the report's style sheet, so that the chart is dark where the page is dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from rnvp_exporters.report.contours import Grid, contours
from rnvp_runtime.terminal.printable import printable

__all__ = ["Chart", "Range", "number", "round_ticks"]

Range = tuple[float, float]
_SIDE = 1000  # of the SVG's coordinates, both ways


@dataclass(frozen=True)
class Chart:
    """The data range of a chart, and the words around it.

    Attributes:
        x: Lowest and highest value across.
        y: Lowest and highest value up.
        x_name: What is drawn across; empty for no name.
        y_name: What is drawn up.
        label: The chart in words, for screen readers.
        x_ticks: Number of tick labels across, at most; 0 for none.
        y_ticks: Number of tick labels up, at most.
        kind: CSS class of the whole, which sets its proportions.
        whole_x: Only whole numbers are tick labels across.
    """

    x: Range
    y: Range
    x_name: str = ""
    y_name: str = ""
    label: str = ""
    x_ticks: int = 4
    y_ticks: int = 4
    kind: str = "wide"
    whole_x: bool = False

    def line(self, x: ArrayLike, y: ArrayLike, style: str) -> Markup:
        """A polyline with the CSS class ``style``, interrupted where a value is not finite."""
        return _path(self._polyline(*self._place(x, y)), f"line {style}")

    def area(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, style: str) -> Markup:
        """The area between two lines."""
        across = np.concatenate([np.asarray(x, float), np.asarray(x, float)[::-1]])
        up = np.concatenate([np.asarray(high, float), np.asarray(low, float)[::-1]])
        return _path(self._polyline(*self._place(across, up)) + "z", f"area {style}")

    def steps(self, edges: ArrayLike, heights: ArrayLike, style: str) -> Markup:
        """A histogram, as the outline of its bars down to 0."""
        x = np.repeat(np.asarray(edges, float), 2)
        y = np.concatenate([[0.0], np.repeat(np.asarray(heights, float), 2), [0.0]])
        return _path(self._polyline(*self._place(x, y)), style)

    def dots(self, x: ArrayLike, y: ArrayLike, style: str) -> Markup:
        """Round points; those outside the range are left out."""
        across, up = self._place(x, y)
        inside = (across >= 0) & (across <= _SIDE) & (up >= 0) & (up <= _SIDE)
        places = np.stack([across[inside], up[inside]], -1).astype(int).tolist()
        points = "".join(f"M{i} {j}h0" for i, j in places)
        return _path(points, f"dots {style}")

    def region(self, grid: Grid, level: float, style: str) -> Markup:
        """The contours of ``grid``, which covers the chart with one cell a point."""
        rows, columns = grid.shape
        loops = []
        for loop in contours(grid, level):
            across = np.clip((loop[:, 0] + 0.5) / columns, 0, 1) * _SIDE
            up = (1 - np.clip((loop[:, 1] + 0.5) / rows, 0, 1)) * _SIDE
            loops.append(self._polyline(np.rint(across), np.rint(up)) + "z")
        return _path("".join(loops), f"region {style}")

    def html(self, *marks: Markup) -> Markup:
        """The chart with marks, as the methods above give them, its tick labels and its names."""
        across = [(v, _share(v, self.x)) for v in self._x_ticks()]
        up = [(v, _share(v, self.y)) for v in round_ticks(self.y, self.y_ticks)]
        lines = Markup("").join(
            [_path(f"M{share * _SIDE:.0f} 0v{_SIDE}", "grid") for _, share in across]
            + [_path(f"M0 {(1 - share) * _SIDE:.0f}h{_SIDE}", "grid") for _, share in up]
        )
        plot = Markup(
            '<svg class="plot" viewBox="0 0 {0} {0}" preserveAspectRatio="none" role="img" '
            'aria-label="{1}">{2}{3}</svg>'
        ).format(_SIDE, printable(self.label), lines, Markup("").join(marks))
        parts = [plot]
        if up:
            parts.append(_labels("up", "bottom", up, self.y))
        if across:
            parts.append(_labels("across", "left", across, self.x))
        if name := printable(self.y_name):
            parts.append(Markup('<span class="y-name"><span>{}</span></span>').format(name))
        if name := printable(self.x_name):
            parts.append(Markup('<span class="x-name">{}</span>').format(name))
        return Markup('<div class="chart {}">{}</div>').format(self.kind, Markup("").join(parts))

    def _x_ticks(self) -> list[float]:
        ticks = round_ticks(self.x, self.x_ticks)
        return [tick for tick in ticks if tick == round(tick)] if self.whole_x else ticks

    def _place(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Whole numbers in the coordinates of the SVG; values far outside are moved closer."""
        across = (np.asarray(x, float) - self.x[0]) / (self.x[1] - self.x[0])
        up = (np.asarray(y, float) - self.y[0]) / (self.y[1] - self.y[0])
        far = 3 * _SIDE
        return (
            np.rint(np.clip(across * _SIDE, -far, far)),
            np.rint(np.clip((1 - up) * _SIDE, -far, far)),
        )

    @staticmethod
    def _polyline(across: NDArray[np.float64], up: NDArray[np.float64]) -> str:
        text, command = "", "M"
        for i, j in zip(across.tolist(), up.tolist(), strict=True):
            if not (math.isfinite(i) and math.isfinite(j)):
                command = "M"
                continue
            text += f"{command}{i:.0f} {j:.0f}"
            command = "L"
        return text


def round_ticks(within: Range, most: int) -> list[float]:
    """Round numbers in a range: as many as fit, at most ``most``."""
    low, high = within
    if most < 1 or not high > low:
        return []
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    for times in (1, 2, 2.5, 5, 10, 20, 25, 50):
        step = times * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [i * step for i in range(first, last + 1)]
    return []


def number(value: float) -> str:
    """A number for people: three significant digits, a real minus sign."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size and (size >= 1e6 or size < 1e-3):
        text = f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e")
    else:
        text = f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")


def _share(value: float, within: Range) -> float:
    return (value - within[0]) / (within[1] - within[0])


def _labels(kind: str, side: str, ticks: Sequence[tuple[float, float]], within: Range) -> Markup:
    step = abs(ticks[1][0] - ticks[0][0]) if len(ticks) > 1 else within[1] - within[0]
    spans = [
        Markup('<span style="{}:{:.1f}%">{}</span>').format(side, 100 * share, _tick(value, step))
        for value, share in ticks
    ]
    return Markup('<span class="ticks {}" aria-hidden="true">{}</span>').format(
        kind, Markup("").join(spans)
    )


def _tick(value: float, step: float) -> str:
    """A tick label with as many decimals as its step has."""
    largest = max(abs(value), step)
    if largest >= 1e5 or step < 1e-3:
        return number(value) if abs(value) > 1e-9 * step else "0"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, decimals) != step and decimals < 4:
        decimals += 1 if abs(round(step, decimals) - step) > 1e-9 * step else 0
    text = f"{value:.{decimals}f}"
    return (text if float(text) else text.lstrip("-")).replace("-", "−")


def _path(d: str, style: str) -> Markup:
    return Markup('<path class="{}" d="{}"/>').format(style, d) if d.strip("z") else Markup("")
