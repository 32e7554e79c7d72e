"""Fuzz with guidance by coverage (atheris): inputs that reach new lines of the readers are kept.

    pip install atheris    # not a dependency: it has wheels for some systems only
    python -m tests.faults.guided graph --seconds 3600

The run ends with the first finding, see `tests.faults.fuzzing`, and prints the input.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rnvp_runtime", "rnvp_deploy", "json"]):
    from tests.faults.bundles import sound_bundle
    from tests.faults.fuzzing import CHECKPOINT, KINDS

if __name__ == "__main__":
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("kind", choices=list(KINDS))
    options.add_argument("--seconds", type=int, default=600)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound_bundle(folder)
        shutil.copy(CHECKPOINT, folder / "model.pt")
        original, judge = KINDS[given.kind](folder)
        corpus = folder / "corpus"
        corpus.mkdir()
        (corpus / "original").write_bytes(original)
        limits = [f"-max_total_time={given.seconds}", "-timeout=10", "-max_len=65536"]

        def one(content: bytes) -> None:
            """Judge one input; a finding is an exception."""
            judge(content)

        atheris.Setup([sys.argv[0], str(corpus), *limits], one)
        atheris.Fuzz()
