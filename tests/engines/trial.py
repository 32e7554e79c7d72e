"""Try one engine on the graphs of bundles, in an environment where it is installed.

    python -m tests.engines.trial tract unconditional.rnvp conditional.rnvp

Prints JSON: the package's version, and the outcome of each graph's test vectors in each bundle.
Needs the runtime and the engine; no PyTorch and no pytest.
"""

import json
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.sources import open_source
from rnvp_runtime.bundle.verification import check_vectors, read_files
from rnvp_runtime.engines import Engine
from tests.engines.peers import PEERS

__all__ = ["CRASHED", "NAN_LOST", "REFUSED", "RIGHT", "WRONG", "Outcome", "outcome", "trial"]

RIGHT = "right"
NAN_LOST = "right, NaN lost"
REFUSED = "refused"
WRONG = "wrong"
CRASHED = "crashes"


@dataclass(frozen=True)
class Outcome:
    """The result of an engine on the test vectors of one graph of one bundle."""

    bundle: str
    graph: str
    word: str
    detail: str = ""


@dataclass(frozen=True)
class _Judged:
    """``engine``, with or without the check of rows that hold NaN and infinity."""

    engine: Engine
    keeps_nan: bool

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)


def outcome(bundle: str, graph: str, name: str) -> Outcome:
    """The result of the engine called ``name`` on the test vectors of ``graph``."""
    peer, source = PEERS[name], open_source(bundle)
    manifest = Manifest.read_from(source)
    _, contents = read_files(source, manifest, manifest.files)
    detail = ""
    for keeps_nan, word in ((True, RIGHT), (False, NAN_LOST)):
        checks = check_vectors(
            contents,
            manifest,
            _Judged(peer.engine(), keeps_nan),  # type: ignore[arg-type]
            providers=peer.providers,
            graphs=[graph],
        )
        failed = [check for check in checks if not check.passed]
        if not failed:
            return Outcome(Path(bundle).stem, graph, word)
        detail = failed[0].detail
    word = REFUSED if detail.startswith("fails: ") else WRONG
    detail = detail.removeprefix("fails: ").split("Stack backtrace")[0]
    return Outcome(Path(bundle).stem, graph, word, detail[:300])


def trial(name: str, bundles: list[str]) -> list[Outcome]:
    """The outcome of each graph of each bundle."""
    return [
        outcome(bundle, graph, name) for bundle in bundles for graph in Manifest.read(bundle).graphs
    ]


if __name__ == "__main__":
    outcomes = [asdict(found) for found in trial(sys.argv[1], sys.argv[2:])]
    print(json.dumps({"version": version(PEERS[sys.argv[1]].package), "outcomes": outcomes}))
