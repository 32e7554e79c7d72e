"""``python -m tests.native.fuzzing MINUTES``: fuzz flow.bin for this long, with a new seed.

clang's libFuzzer is used if clang is installed; otherwise the mutation fuzzer of fuzz.c. An input
that fails is kept in the folder that is printed first.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.native.test_fuzz import ENGINE, HERE, SANITIZE, write_seeds

if __name__ == "__main__":
    seconds = int(60 * float(sys.argv[1])) if len(sys.argv) > 1 else 60
    folder = Path(tempfile.mkdtemp(prefix="rnvp-fuzz-"))
    print(folder, flush=True)
    seeds = folder / "seeds"
    seeds.mkdir()
    paths = write_seeds(seeds)
    program = folder / "fuzz"
    sources = ["-std=c11", "-I", str(ENGINE.parent), str(HERE / "fuzz.c"), str(ENGINE), "-lm"]
    if shutil.which("clang"):
        flags = ["-g", "-O1", "-DRNVP_LIBFUZZER", "-DRNVP_NO_AVX512"]
        flags.append("-fsanitize=fuzzer,address,undefined")
        subprocess.run(["clang", *flags, *sources, "-o", program], check=True)
        limits = [f"-max_total_time={seconds}", "-max_len=16384", "-rss_limit_mb=4096"]
        sys.exit(subprocess.run([program, *limits, seeds], cwd=folder, check=False).returncode)
    subprocess.run(["cc", *SANITIZE, *sources, "-o", program], check=True)
    end, seed = time.monotonic() + seconds, time.time_ns()
    while time.monotonic() < end:
        seed += 1
        print(f"seed {seed}", flush=True)
        subprocess.run([program, str(seed), "2000", *paths], check=True)
