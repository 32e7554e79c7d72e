"""A physicist: showers in a calorimeter, 8 columns given 2, with a heavy tail and an integer.

    python examples/journeys/physicist.py FOLDER

The commands are those that the physicist types. The table is simulated, so that the samples can be
compared with the truth.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = ["depth", "width", "length", "leakage", "share", "time", "asymmetry", "n_hits"]
CONDITIONS = ["energy", "theta"]


def simulate(energy: np.ndarray, theta: np.ndarray, seed: int) -> pd.DataFrame:
    """One shower for each energy (GeV) and angle (rad)."""
    draw, n = np.random.default_rng(seed), len(energy)
    depth = 3 * np.log(energy) + draw.normal(0, 1.5, n)
    width = np.exp(0.3 * draw.normal(size=n) + 0.1 * np.log(energy))
    return pd.DataFrame(
        {
            "depth": depth,
            "width": width,
            "length": 2 * depth / np.cos(theta) + draw.normal(0, 0.5, n),
            "leakage": np.exp(draw.standard_t(4, n) * 0.5 - 3 + 0.1 * depth),  # a heavy tail
            "share": 1 / (1 + np.exp(-draw.normal(theta, 1))),  # within 0 and 1
            "time": draw.normal(10, 1, n) + theta,
            "asymmetry": np.sin(theta) + draw.normal(0, 0.2, n),
            "n_hits": draw.poisson(5 + energy / 4),
            "energy": energy,
            "theta": theta,
        }
    )


def run(*command: object) -> None:
    print("$", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    draw = np.random.default_rng(0)
    energy, theta = draw.uniform(10, 200, 20_000), draw.uniform(0, 0.8, 20_000)
    simulate(energy, theta, seed=1).to_csv("showers.csv", index=False)

    maps = ["--log", "width,leakage", "--logit", "share", "--integer", "n_hits"]
    epochs = ["--epochs", os.environ["TRAIN_EPOCHS"]] if "TRAIN_EPOCHS" in os.environ else []
    context = ["--context", ",".join(CONDITIONS)]
    run("rnvp-train", "showers.csv", "-o", "showers.pt", *context, *maps, *epochs)
    run("rnvp-export", "showers.pt", "--format", "onnx")

    # From here on without PyTorch: 2000 showers at each of 3 energies.
    grid = "energy=20:180:3,theta=0.4"
    run("rnvp-sample", "showers.rnvp", "-n", 2000, "--seed", 7, "--context", grid, "-o", "scan.csv")
    run("rnvp-score", "showers.rnvp", "scan.csv", "-o", "scan.csv", "--quantile")  # in place
    scan = pd.read_csv("scan.csv")
    assert (scan.n_hits == scan.n_hits.round()).all(), "n_hits is an integer"
    assert (scan.leakage > 0).all(), "leakage has no values below 0"
    assert scan["quantile"].between(0, 1).all(), "each row has its share of less likely rows"

    print(f"\n{'energy':>8} {'column':>10} {'truth':>10} {'flow':>10}   (medians)")
    worst = 0.0
    for value, rows in scan.groupby("energy"):
        truth = simulate(np.full(20_000, value), np.full(20_000, 0.4), seed=2)
        for column in COLUMNS:
            a, b = truth[column].median(), rows[column].median()
            spread = truth[column].quantile(0.84) - truth[column].quantile(0.16)
            worst = max(worst, abs(a - b) / spread)
            print(f"{value:8.0f} {column:>10} {a:10.3g} {b:10.3g}")
    print(f"The medians differ by at most {worst:.2f} of the central 68 %.")
    if not epochs:
        assert worst < 0.25, "the flow learnt the showers"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
