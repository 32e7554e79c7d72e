"""A learning curve as SVG, for notebooks."""

import math
from collections.abc import Sequence

__all__ = ["learning_curve"]

_WIDTH, _HEIGHT, _MARGIN = 420, 160, 40
_SHOWN_FROM = 0.05  # the first epochs, whose loss is far higher, do not set the range


def learning_curve(train: Sequence[float], held_out: Sequence[float], best: int) -> str:
    """Both losses against the epoch, with the best epoch marked.

    Lines and text have the colour of the surrounding text, so that it is readable on light and
    dark backgrounds.

    Args:
        train: Training loss of each epoch, nats a row.
        held_out: Held-out loss of each epoch, nats a row.
        best: Number of the best epoch, from 1.
    """
    first = int(_SHOWN_FROM * len(held_out))
    values = [v for curve in (train, held_out) for v in curve[first:] if math.isfinite(v)]
    low, high = min(*values, held_out[best - 1]), max(values)
    span = (high - low) or 1.0

    def point(epoch: int, value: float) -> tuple[float, float]:
        x = _MARGIN + (_WIDTH - _MARGIN - 10) * (epoch - 1) / max(len(held_out) - 1, 1)
        y = 10 + (_HEIGHT - 35) * (high - min(max(value, low), high)) / span
        return round(x, 1), round(y, 1)

    def line(curve: Sequence[float], style: str) -> str:
        points = " ".join(
            "{},{}".format(*point(epoch, value))
            for epoch, value in enumerate(curve, start=1)
            if math.isfinite(value)
        )
        return f'<polyline points="{points}" fill="none" stroke="currentColor" {style}/>'

    x, y = point(best, held_out[best - 1])
    bottom = _HEIGHT - 8
    return (
        f'<svg role="img" aria-label="Learning curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="11" '
        'fill="currentColor">'
        + line(train, 'stroke-opacity="0.4"')
        + line(held_out, 'stroke-width="2"')
        + f'<circle cx="{x}" cy="{y}" r="4"/>'
        f'<text x="2" y="16">{high:.4g}</text><text x="2" y="{_HEIGHT - 22}">{low:.4g}</text>'
        f'<text x="{_MARGIN}" y="{bottom}">epoch 1</text>'
        f'<text x="{_WIDTH - 10}" y="{bottom}" text-anchor="end">{len(held_out)}</text>'
        f'<text x="{_WIDTH / 2}" y="{bottom}" text-anchor="middle">'
        "held out (bold), train (faint): nats a row</text></svg>"
    )
