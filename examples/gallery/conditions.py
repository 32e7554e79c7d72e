"""The distribution of a column as a condition changes: conditions.py BUNDLE PICTURE.

The bundle is conditional. Its first condition moves through the range of the training; the others
stay at the middle of theirs.
"""

import sys

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

import rnvp_runtime

flow = rnvp_runtime.load(sys.argv[1])
reference = flow.manifest.reference
known = reference.context_columns if reference else ()  # what the training saw
ranges = [(column.low, column.high) for column in known] or [(-1.0, 1.0)] * flow.context_dim
middle = np.array([(low + high) / 2 for low, high in ranges])

figure = Figure(figsize=(3.2 * min(flow.dim, 3), 2.8), layout="constrained")
panels = figure.subplots(1, min(flow.dim, 3), squeeze=False)[0]
for share in (0.1, 0.3, 0.5, 0.7, 0.9):
    context = middle.copy()
    context[0] = ranges[0][0] + share * (ranges[0][1] - ranges[0][0])
    x = flow.sample(4000, seed=7, context=context)
    for j, panel in enumerate(panels):
        edges = np.linspace(*np.quantile(x[:, j], [0.002, 0.998]), 40)
        panel.hist(
            x[:, j], edges, histtype="step", density=True, color=colormaps["viridis"](share),
            label=f"{context[0]:.3g}",
        )  # fmt: skip
for j, panel in enumerate(panels):
    panel.set(xlabel=flow.columns[j], yticks=[])
panels[0].legend(title=flow.context_columns[0], fontsize=7, title_fontsize=8)
figure.savefig(sys.argv[2], dpi=90)
