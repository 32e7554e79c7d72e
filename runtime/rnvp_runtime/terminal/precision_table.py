"""The precision of a flow in its bundle's dtype, as the rows of a table."""

from rnvp_runtime.bundle.manifest import Precision

__all__ = ["precision_table"]


def precision_table(precision: Precision) -> list[tuple[str, str, str]]:
    """(what, how much, verdict) of each measured quantity; the limits are in docs/parity.md."""
    moved = precision.sensitivity
    tolerances = "" if moved is None else f"{moved:,.0f} tolerances"
    rows = [
        ("error of log_prob", f"{precision.log_prob.p99:.2g} nats"),
        ("error of samples", f"{precision.x.p99:.2g} standard deviations"),
        ("error of x -> z -> x", f"{precision.round_trip.p99:.2g} standard deviations"),
        ("samples not finite", f"{precision.non_finite:.2%} of {precision.rows:,}"),
        ("distinct values", f"{precision.distinct:.2%} in the column with the fewest"),
        ("all weights x 1.001 move outputs by", tolerances),
    ]
    verdict = f"ACCEPTED: {'; '.join(precision.faults)}" if precision.faults else "passed"
    return [(*rows[0], verdict), *((what, value, "") for what, value in rows[1:] if value)]
