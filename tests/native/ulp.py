"""The table of errors in docs/native.md: ``python -m tests.native.ulp [STRIDE]``.

With a stride of 1, the default, every float32 number is tried; that takes some minutes a function.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.native.test_elementary import HERE, STATED, error

if __name__ == "__main__":
    stride = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "elementary")
        sources = ["-I", str(HERE.parents[1] / "runtime" / "c"), str(HERE / "elementary.c")]
        flags = ["-std=c11", "-O3", "-DRNVP_ELEMENTARY", *sources, "-o", str(program), "-lm"]
        subprocess.run(["cc", *flags], check=True)
        print("| function | float32, all | float64, sampled |\n|---|---|---|")
        for function in STATED:
            single = error(program, function, "avx2", 32, stride)
            double = error(program, function, "avx2", 64, 4099)
            print(f"| {function} | {single:.2f} | {double:.2f} |", flush=True)
