"""Speed, measured against everything that a person might run a flow with instead.

    python -m benchmarks                  # all of it, about half an hour on two cores
    python -m benchmarks --quick          # a rough picture in two minutes
    python -m benchmarks --targets        # the targets beside what was last measured
    python -m benchmarks.scoring --rows 100_000_000
    python -m benchmarks.lowering         # what each rewrite buys
    python -m benchmarks.tiling           # time against tile size, threads, IOBinding
    python -m benchmarks.profiling        # where the time goes

``README.md`` says how to read what comes out.
"""

import os

# The floor is numpy's sgemm at its best: a BLAS held to an older processor would flatter us.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)
