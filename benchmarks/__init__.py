"""The speed of rnvp-deploy, compared with the other ways to run a flow.

    python -m benchmarks                  # all of it, about half an hour on two cores
    python -m benchmarks --quick          # a rough picture in two minutes
    python -m benchmarks --targets        # the targets beside what was last measured
    python -m benchmarks.scoring --rows 100_000_000
    python -m benchmarks.lowering         # the effect of each rewrite
    python -m benchmarks.tiling           # time against tile size, threads, IOBinding
    python -m benchmarks.profiling        # where the time goes

``README.md`` says how to read what comes out.
"""

import os

# The floor is numpy's fastest sgemm: with a slower BLAS, rnvp-deploy would look better.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)
