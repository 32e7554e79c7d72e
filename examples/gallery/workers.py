"""Four workers draw one sample stream: workers.py BUNDLE PICTURE.

Each worker draws its own rows of seed 7, without speaking to the others. Together they are the rows
that one worker draws.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from matplotlib.figure import Figure

import rnvp_runtime

ROWS, WORKERS = 2000, 4
flow = rnvp_runtime.load(sys.argv[1])


def part(worker: int) -> np.ndarray:
    count = ROWS // WORKERS
    return flow.sample(count, seed=7, start=worker * count)


with ThreadPoolExecutor(WORKERS) as pool:
    parts = list(pool.map(part, range(WORKERS)))
whole = flow.sample(ROWS, seed=7)
np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-4)

figure = Figure(figsize=(9, 2.4), layout="constrained")
panels = figure.subplots(1, WORKERS + 1, sharex=True, sharey=True)
second = min(1, flow.dim - 1)
for worker, (panel, x) in enumerate(zip(panels, parts, strict=False)):
    panel.plot(x[:, 0], x[:, second], ".", color=f"C{worker}", markersize=2)
    panels[-1].plot(x[:, 0], x[:, second], ".", color=f"C{worker}", markersize=2)
    panel.set_title(f"worker {worker}", fontsize=9)
panels[-1].set_title("one stream", fontsize=9)
figure.savefig(sys.argv[2], dpi=90)
