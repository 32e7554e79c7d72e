"""Samples at three temperatures over the log-density: temperature.py BUNDLE PICTURE.

The bundle has two columns. Below temperature 1, samples are closer to the modes.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import rnvp_runtime

flow = rnvp_runtime.load(sys.argv[1])
low, high = np.quantile(flow.sample(5000, seed=0), [0.001, 0.999], axis=0)
low, high = low - 0.2 * (high - low), high + 0.2 * (high - low)
axes = [np.linspace(a, b, 120) for a, b in zip(low, high, strict=True)]
grid = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
log_prob = flow.log_prob(grid).reshape(120, 120)

figure = Figure(figsize=(9, 2.8), layout="constrained")
for panel, temperature in zip(figure.subplots(1, 3), (0.5, 1.0, 1.5), strict=True):
    panel.pcolormesh(*axes, log_prob, vmin=log_prob.max() - 8, cmap="Greys", shading="auto")
    x = flow.sample(400, seed=7, temperature=temperature)
    panel.plot(*x.T, ".", color="#c2410c", markersize=3)
    panel.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), title=f"temperature {temperature}")
figure.savefig(sys.argv[2], dpi=90)
