"""The first line of a report: whether the flow can be trusted, and what to check.

Each question has one finding. ``good``: nothing to do. ``look``: usable, with a reservation that is
named. ``bad``: do not use it for the purpose in the sentence. ``unknown``: the checkpoint does not
hold what is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnvp_exporters.report.calibration import distance_from_uniform, noise_distance
from rnvp_exporters.report.charts import number
from rnvp_exporters.report.evidence import Evidence
from rnvp_exporters.report.figures import Marginal
from rnvp_exporters.report.latents import Condition
from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["MATTERS", "Finding", "Verdict", "judge"]

Level = Literal["good", "look", "bad", "unknown"]

MATTERS = (0.05, 0.15)
"""A distance from uniform up to the first is good, beyond the second bad, if it is not noise."""


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    Attributes:
        question: In a few words.
        level: How good the answer is.
        answer: A number or a word.
        sentence: What it means.
    """

    question: str
    level: Level
    answer: str
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The first line, and the findings that it follows from."""

    level: Level
    line: str
    findings: tuple[Finding, ...]


def judge(
    manifest: Manifest,
    evidence: Evidence,
    marginals: Sequence[Marginal],
    conditions: Sequence[Condition],
) -> Verdict:
    """The verdict on an exported flow.

    Args:
        manifest: With parity and precision.
        evidence: Samples and held-out rows.
        marginals: Of all columns.
        conditions: With their bins; empty for an unconditional flow.
    """
    findings = (
        _fit(evidence),
        _calibration(evidence),
        _samples(evidence, marginals),
        *_conditions(conditions),
        _parity(manifest),
        _precision(manifest),
    )
    return Verdict(*_line(findings), findings)


def _line(findings: Sequence[Finding]) -> tuple[Level, str]:
    named = {
        level: [f.question.lower() for f in findings if f.level == level]
        for level in ("bad", "look", "unknown")
    }
    if named["bad"]:
        return "bad", f"Do not rely on this flow before you read: {', '.join(named['bad'])}."
    if named["look"]:
        return "look", f"This flow is usable. Read first: {', '.join(named['look'])}."
    if named["unknown"]:
        words = "The export is correct. Whether the flow fits its data is not known here: {}."
        return "unknown", words.format("the checkpoint holds no held-out rows")
    return "good", "This flow fits its held-out rows, and its export is correct."


def _fit(evidence: Evidence) -> Finding:
    question, summary = "Fit", evidence.summary
    if summary is None:
        why = "The checkpoint was not trained here, so that it holds no held-out loss."
        return Finding(question, "unknown", "not known", why)
    loss = f"{summary.held_out_loss:.4g}".replace("-", "−")
    answer = f"{loss} nats a row"
    rows = f"{summary.held_out_rows:,} held-out rows"
    if summary.gaussian_loss is None:
        return Finding(question, "good", answer, f"Loss on {rows}.")
    gain = summary.gaussian_loss - summary.held_out_loss
    if gain < 0:
        words = f"On {rows} a Gaussian with a full covariance is better by {number(-gain)} nats."
        return Finding(question, "bad", answer, words)
    words = f"On {rows} it is {number(gain)} nats better than a Gaussian with a full covariance."
    if summary.notes:
        return Finding(question, "look", answer, " ".join([words, *map(_sentence, summary.notes)]))
    return Finding(question, "good", answer, words)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _calibration(evidence: Evidence) -> Finding:
    question, held_out = "Calibration", evidence.held_out
    if held_out is None:
        why = "The checkpoint holds no held-out rows to map to the latent space."
        return Finding(question, "unknown", "not known", why)
    distances = np.array([distance_from_uniform(u) for u in held_out.pit.T])
    worst, noise = int(distances.argmax()), noise_distance(len(held_out.pit), len(distances))
    level = _level(float(distances[worst]), noise)
    answer = f"KS ≤ {number(float(distances[worst]))}"
    words = (
        f"The largest distance of a latent coordinate from a standard normal, that of z{worst}. "
        f"Chance alone reaches {number(noise)} on {len(held_out.pit):,} rows."
    )
    return Finding(question, level, answer, words)


def _samples(evidence: Evidence, marginals: Sequence[Marginal]) -> Finding:
    question, held_out = "Samples", evidence.held_out
    known = [(m.distance, m.name) for m in marginals if m.distance is not None]
    if held_out is None or not known:
        return Finding(
            question, "unknown", "not known", "The checkpoint holds no rows to compare with."
        )
    distance, name = max(known)
    rows, samples = len(held_out.x), len(evidence.samples)
    noise = noise_distance(rows * samples / (rows + samples), len(known))
    words = (
        f"The largest distance between the samples and the data, in column {name}. "
        f"Chance alone reaches {number(noise)}."
    )
    return Finding(question, _level(distance, noise), f"KS ≤ {number(distance)}", words)


def _conditions(conditions: Sequence[Condition]) -> tuple[Finding, ...]:
    """One finding on the bins of all conditions; none if there are no bins."""
    bins = [(b, condition.name) for condition in conditions for b in condition.bins]
    if not bins:
        return ()
    worst, name = max(bins, key=lambda found: found[0].distance / found[0].noise)
    words = (
        f"The largest distance of a latent coordinate from a standard normal in a bin of {name}, "
        f"{worst.interval}. Chance alone reaches {number(worst.noise)} on {worst.rows} rows."
    )
    level = _level(worst.distance, worst.noise)
    return (Finding("Conditions", level, f"KS ≤ {number(worst.distance)}", words),)


def _level(distance: float, noise: float) -> Level:
    if distance <= max(noise, MATTERS[0]):
        return "good"
    return "look" if distance <= max(noise, MATTERS[1]) else "bad"


def _parity(manifest: Manifest) -> Finding:
    worst = max((parity.ratio.median for parity in manifest.parity), default=0.0)
    failed = sum(not parity.passed for parity in manifest.parity)
    words = (
        f"The errors of all {len(manifest.parity)} outputs are within the allowed multiples of "
        "those of eager PyTorch. The largest at the median is shown."
    )
    if failed:
        words = f"{failed} of {len(manifest.parity)} outputs have larger errors than allowed."
    return Finding("Parity", "bad" if failed else "good", f"{number(worst)} × eager", words)


def _precision(manifest: Manifest) -> Finding:
    precision = manifest.precision
    if precision is None:
        return Finding("Precision", "unknown", "not known", "It was not measured.")
    answer = f"{number(precision.log_prob.p99)} nats"
    if precision.faults:
        words = "Exported with --accept-loss: " + "; ".join(precision.faults) + "."
        return Finding("Precision", "bad", answer, words)
    words = f"99 % of the rows have an error of log_prob in {manifest.dtype} of at most this."
    return Finding("Precision", "good", answer, words)
