"""``report.html`` in the bundle: whether the flow is good, in one file without scripts.

Modules
-------
evidence     samples of the flow, and the held-out rows under it
calibration  PIT, chi-squared quantiles, distances, bins of a condition
verdict      the first line
figures      marginals, pairs, log-density, learning curves
latents      PIT and QQ, by conditions too
charts       charts as HTML and SVG; ``contours`` finds their regions
latency      the time of a call on this machine
page         all of it, as HTML
"""

from rnvp_exporters.report.latency import Latency, measure_latency
from rnvp_exporters.report.page import write

__all__ = ["Latency", "measure_latency", "write"]
