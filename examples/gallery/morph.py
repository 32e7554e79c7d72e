"""The way from noise to data, through the inverse: morph.py BUNDLE PICTURE.

A grid of the latent's plane, and what the flow makes of it: x = f⁻¹(z). The bundle has two columns.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import rnvp_runtime

flow = rnvp_runtime.load(sys.argv[1])
angle = np.linspace(0, 2 * np.pi, 400)
circles = [
    radius * np.stack([np.cos(angle), np.sin(angle)], -1) for radius in (0.5, 1, 1.5, 2, 2.5)
]

figure = Figure(figsize=(7, 3), layout="constrained")
latent, data = figure.subplots(1, 2)
for i, circle in enumerate(circles):
    latent.plot(*circle.T, color=f"C{i}", linewidth=1)
    data.plot(*flow.inverse(circle).T, color=f"C{i}", linewidth=1)
latent.set(title="z, the latent", aspect="equal")
data.set(title="x = f⁻¹(z), the data", aspect="equal")
figure.savefig(sys.argv[2], dpi=90)
