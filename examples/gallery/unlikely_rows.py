"""Unlikely rows, and where one column alone would have to be: unlikely_rows.py BUNDLE PICTURE.

The bundle has two columns. An arrow goes from a flagged row to the most likely value of the column
that makes it unlikely, given the other one.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import rnvp_runtime

flow = rnvp_runtime.load(sys.argv[1])
normal = flow.sample(2000, seed=7)
low, high = normal.min(axis=0), normal.max(axis=0)
rows = np.random.default_rng(0).uniform(low, high, (40, 2)).astype(normal.dtype)

threshold = np.quantile(flow.log_prob(normal), 0.001)
flagged = rows[flow.log_prob(rows) < threshold]
found = rnvp_runtime.explain(flow, flagged)
column = found.causes()[:, 0]
expected = flagged.copy()
expected[np.arange(len(flagged)), column] = found.expected[np.arange(len(flagged)), column]

figure = Figure(figsize=(5, 3.2), layout="constrained")
panel = figure.subplots()
panel.plot(*normal.T, ".", color="0.8", markersize=2)
panel.plot(*rows.T, "o", color="#1d4ed8", markersize=4, label="as likely as the samples")
panel.plot(*flagged.T, "o", color="#c2410c", markersize=4, label="less likely than 99.9 %")
panel.quiver(
    *flagged.T, *(expected - flagged).T, angles="xy", scale_units="xy", scale=1, width=0.003,
    color="#c2410c", alpha=0.6,
)  # fmt: skip
panel.set(xlabel=flow.columns[0], ylabel=flow.columns[1])
panel.legend(loc="lower left", fontsize=7)
figure.savefig(sys.argv[2], dpi=90)
