"""Events of a detector given two conditions: python examples/demo/events.py events.csv."""

import sys

import numpy as np

ROWS = 5000


def events(rows: int, seed: int) -> np.ndarray:
    """(rows, 4): signal and angle as measured, then the true energy (GeV) and theta (rad)."""
    draw = np.random.default_rng(seed)
    energy, theta = draw.uniform(10, 200, rows), draw.uniform(0, 1, rows)
    signal = energy * (0.9 + 0.05 * draw.normal(size=rows))
    angle = theta + 0.1 * draw.normal(size=rows)
    return np.stack([signal, angle, energy, theta], -1)


if __name__ == "__main__":
    header = "signal,angle,energy,theta"
    np.savetxt(sys.argv[1], events(ROWS, seed=1), "%.6f", ",", header=header, comments="")
