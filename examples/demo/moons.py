"""Two moons with noise, as a table: python examples/demo/moons.py moons.csv"""

import sys

import numpy as np

ROWS, NOISE = 10_000, 0.05


def moons(rows: int, seed: int) -> np.ndarray:
    """(rows, 2): two interleaved half circles, as in scikit-learn's ``make_moons``."""
    draw = np.random.default_rng(seed)
    angle = draw.uniform(0, np.pi, rows)
    upper = draw.random(rows) < 0.5
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([x, y], -1) + draw.normal(0, NOISE, (rows, 2))


if __name__ == "__main__":
    np.savetxt(sys.argv[1], moons(ROWS, seed=0), "%.6f", ",", header="x,y", comments="")
