"""Mutations of a bundle's manifest and graphs; each must load as before or be a typed error.

The hash in the manifest is made true for each mutated graph. An outcome is one of

    equal      the bundle loads, and its numbers are those of the original
    other      it loads and gives other numbers, as a changed weight does; only a graph may
    refused    `RnvpError`

Anything else, such as another exception, is a finding and is raised.
"""

import random
from collections import Counter
from pathlib import Path

import numpy as np

import rnvp_runtime
from rnvp_runtime import RnvpError
from tests.faults.bundles import put_graph

__all__ = ["fuzz"]

X = np.array([[0.5, -1.0], [2.0, 3.0]])
TOKENS = (
    b"NaN",
    b"1e999",
    b"null",
    b'"',
    b"{",
    b"[",
    b"\\ud800",
    b"-1",
    b"9" * 30,
    b"\x00",
    b"../",
)


def fuzz(bundle: Path, times: int, seed: int = 0) -> Counter[str]:
    """Mutate the bundle ``times`` times, in place, from the same original; outcome -> count.

    Raises:
        Exception: whatever is not an `RnvpError`; a note gives the number of the mutation.
    """
    draw = random.Random(seed)
    manifest, graph = (bundle / "manifest.json"), (bundle / "density.onnx")
    text, content = manifest.read_bytes(), graph.read_bytes()
    truth = rnvp_runtime.load(bundle).log_prob(X)
    outcomes: Counter[str] = Counter()
    for i in range(times):
        in_graph = draw.random() < 0.5
        if in_graph:
            put_graph(bundle, "density", _mutated(content, draw))
        else:
            manifest.write_bytes(_mutated(text, draw))
        try:
            outcomes[f"{'graph' if in_graph else 'manifest'} {_outcome(bundle, truth)}"] += 1
        except Exception as error:
            error.add_note(f"mutation {i} of seed {seed}")
            raise
        manifest.write_bytes(text)
        graph.write_bytes(content)
    return outcomes


def _outcome(bundle: Path, truth: np.ndarray) -> str:
    try:
        found = rnvp_runtime.load(bundle).log_prob(X)
    except RnvpError:
        return "refused"
    return "equal" if np.array_equal(found, truth, equal_nan=True) else "other"


def _mutated(content: bytes, draw: random.Random) -> bytes:
    """One to three changes: a bit, a byte, a part removed, doubled, moved, or a token put in."""
    out = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(out))
        length = min(draw.choice((1, 2, 4, 16, 64)), len(out) - at)
        change = draw.randrange(6)
        if change == 0:
            out[at] ^= 1 << draw.randrange(8)
        elif change == 1:
            out[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        elif change == 2:
            del out[at : at + length]
        elif change == 3:
            out[at:at] = out[at : at + length]
        elif change == 4:
            to = draw.randrange(len(out))
            out[to:to] = out[at : at + length]
        else:
            out[at:at] = draw.choice(TOKENS)
        if not out:
            break
    return bytes(out)
