"""``report.html`` in the bundle: what a person wants to see, in one file without scripts."""

import io

import numpy as np
import torch
from markupsafe import Markup

from rnvp_deploy import RNVP
from rnvp_exporters.bundle.templates import environment
from rnvp_exporters.proof.parity import ALLOWED
from rnvp_exporters.proof.precision import LIMITS
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.terminal.printable import printable

__all__ = ["write"]

SAMPLES, SEED, GRID = 2000, 7, 120


def write(manifest: Manifest, flow: RNVP, name: str) -> str:
    """The report of a bundle whose folder is called ``name``, as HTML."""
    picture, caption = _picture(flow)
    template = environment().get_template("report.html")
    return template.render(
        m=manifest, name=name, allowed=ALLOWED, limits=LIMITS, picture=picture, caption=caption
    )


@torch.no_grad()
def _picture(flow: RNVP) -> tuple[Markup, str]:
    """Samples of the first columns, pair by pair; in two dimensions the log-density beside them."""
    from matplotlib.figure import Figure

    names = [printable(name) for name in flow.columns]  # and never as a formula between $
    context = None
    given = ""
    if flow.context_dim:
        context = torch.zeros(1, flow.context_dim, dtype=flow.dtype)
        if flow.context_scaling is not None:
            context = flow.context_scaling.inverse(context)
        given = ", given the mean of each condition"
        context = context.expand(SAMPLES, -1)
    x = flow.sample(SAMPLES, seed=SEED, context=context).double().numpy()
    x = x[np.isfinite(x).all(axis=1)]
    if flow.dim == 1:
        figure = Figure(figsize=(8, 3.2))
        axes = figure.subplots()
        axes.hist(x[:, 0], bins=60, color="#2a78d6")
        axes.set_xlabel(names[0], parse_math=False)
        caption = f"{SAMPLES:,} samples{given}."
    elif flow.dim == 2 and not flow.context_dim:
        figure = Figure(figsize=(9, 4))
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        left.plot(x[:, 0], x[:, 1], ".", ms=2, color="#2a78d6")
        low, high = np.quantile(x, [0.001, 0.999], axis=0)
        low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
        u, v = (np.linspace(a, b, GRID) for a, b in zip(low, high, strict=True))
        grid = torch.tensor(np.stack(np.meshgrid(u, v), -1).reshape(-1, 2), dtype=flow.dtype)
        density = flow.log_prob(grid).double().numpy().reshape(GRID, GRID)
        top = float(np.nanmax(density))
        image = right.imshow(
            density,
            origin="lower",
            extent=(low[0], high[0], low[1], high[1]),
            aspect="auto",
            vmin=top - 8,
            vmax=top,
            cmap="viridis",
        )
        figure.colorbar(image, ax=right, label="log_prob (nats)")
        left.set_title("samples")
        right.set_title("log-density")
        left.set_ylabel(names[1], parse_math=False)
        for axes in (left, right):
            axes.set_xlabel(names[0], parse_math=False)
        caption = f"{SAMPLES:,} samples, and the log-density down to 8 nats below its highest."
    else:
        shown = min(flow.dim, 4)
        figure = Figure(figsize=(2.3 * shown, 2.3 * shown))
        panels = figure.subplots(shown, shown, squeeze=False)
        for i in range(shown):
            for j in range(shown):
                axes = panels[i, j]
                if i == j:
                    axes.hist(x[:, i], bins=40, color="#2a78d6")
                else:
                    axes.plot(x[:, j], x[:, i], ".", ms=1, color="#2a78d6")
                axes.tick_params(labelsize=6)
                if i == shown - 1:
                    axes.set_xlabel(names[j], fontsize=8, parse_math=False)
                if j == 0:
                    axes.set_ylabel(names[i], fontsize=8, parse_math=False)
        caption = f"{SAMPLES:,} samples of the first {shown} columns{given}."
    figure.tight_layout()
    stream = io.StringIO()
    # The points as one embedded bitmap each: as vectors they would be most of the bundle.
    for axes in figure.axes:
        for line in axes.lines:
            line.set_rasterized(True)
    figure.savefig(stream, format="svg", dpi=150, metadata={"Date": None})
    return Markup(stream.getvalue().split("?>", 1)[1].split(">", 1)[1]), caption
