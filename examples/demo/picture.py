"""What the demo made, to look at: python examples/demo/picture.py demo"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import rnvp_runtime

GRID, SHOWN = 200, 5000


def main(folder: Path) -> None:
    data = np.loadtxt(folder / "moons.csv", delimiter=",", skiprows=1)
    samples = np.loadtxt(folder / "samples.csv", delimiter=",", skiprows=1)
    flow = rnvp_runtime.load(folder / "moons.rnvp")

    margin = 0.3
    low, high = data.min(0) - margin, data.max(0) + margin
    across, up = (np.linspace(a, b, GRID) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)
    log_prob = flow.log_prob(grid).reshape(GRID, GRID)

    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for axes, points, title in zip(panels, (data, samples), ("data", "samples"), strict=False):
        axes.plot(*points[:SHOWN].T, ".", ms=1.5, color="#2a78d6", alpha=0.6)
        axes.set(title=title, aspect="equal")
    image = panels[2].imshow(
        log_prob,
        origin="lower",
        extent=(low[0], high[0], low[1], high[1]),
        vmin=log_prob.max() - 8,
        cmap="viridis",
    )
    panels[2].set_title("log-density")
    figure.colorbar(image, ax=panels[2], label="nats")
    figure.savefig(folder / "picture.png", dpi=120)
    print(f"wrote {folder / 'picture.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
