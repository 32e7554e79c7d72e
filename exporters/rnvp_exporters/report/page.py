"""The report as HTML."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rnvp_deploy import RNVP
from rnvp_exporters.bundle.templates import environment
from rnvp_exporters.proof.parity import ALLOWED
from rnvp_exporters.proof.precision import LIMITS
from rnvp_exporters.report import figures, latents
from rnvp_exporters.report.calibration import noise_distance
from rnvp_exporters.report.charts import number
from rnvp_exporters.report.evidence import HeldOut, gather
from rnvp_exporters.report.latency import Latency, this_machine
from rnvp_exporters.report.verdict import judge
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.terminal.next_commands import next_commands

__all__ = ["write"]


def write(
    manifest: Manifest,
    flow: RNVP,
    name: str,
    training: Mapping[str, Any] | None = None,
    latency: Sequence[Latency] = (),
) -> str:
    """The report of a bundle, as HTML.

    Args:
        manifest: Of the bundle.
        flow: In eval mode.
        name: Of the bundle's folder.
        training: The record in the flow's checkpoint. Without it the sections that compare the
            flow with data say why they are missing.
        latency: As `measure_latency` measured it; the section is left out without it.
    """
    evidence = gather(flow, training or {})
    held_out = evidence.held_out
    drawn = len(evidence.samples) > 0  # not if every sample overflows
    marginals = figures.marginals(flow, evidence) if drawn else []
    conditions = (
        latents.by_condition(held_out, flow.context_columns)
        if held_out and flow.context_dim
        else []
    )
    pairs = flow.dim == 2 and not flow.context_dim
    template = environment().get_template("report.html")
    return template.render(
        m=manifest,
        dim=flow.dim,
        conditional=bool(flow.context_dim),
        name=name,
        title=name.removesuffix(".rnvp"),
        allowed=ALLOWED,
        limits=LIMITS,
        number=number,
        milliseconds=_milliseconds,
        verdict=judge(manifest, evidence, marginals, conditions),
        evidence=evidence,
        samples=len(evidence.samples),
        curves=figures.learning_curves(evidence.summary) if evidence.summary else None,
        density=figures.density(flow, evidence) if pairs and drawn else (),
        corner=figures.corner(flow, evidence)
        if drawn and 1 < flow.dim <= figures.CORNER and not pairs
        else (),
        corner_most=figures.CORNER,
        marginals=marginals,
        pits=latents.pits(held_out) if held_out else (),
        qq=latents.qq(held_out) if held_out else None,
        conditions=conditions,
        noise=_noise(held_out, flow.dim),
        noise_between=_noise(held_out, flow.dim, len(evidence.samples)),
        latency=latency,
        machine=this_machine(),
        next=next_commands(manifest, name),
    )


def _noise(held_out: HeldOut | None, tests: int, samples: float = math.inf) -> float | None:
    """The distance that chance reaches between the held-out rows and samples."""
    if held_out is None:
        return None
    rows = len(held_out.x)
    return noise_distance(1 / (1 / rows + 1 / samples) if samples else rows, tests)


def _milliseconds(seconds: float) -> str:
    return f"{number(1000 * seconds)} ms"
