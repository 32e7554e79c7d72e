"""Mutate manifests, graphs and checkpoints. Each must load or be refused with a typed error.

    manifest     the text of a manifest
    graph        an ONNX file; the hash in the manifest is corrected
    checkpoint   the pickle of a checkpoint; its checksum is corrected
    archive      any byte of a checkpoint; no checksum is corrected

An outcome is one of

    equal      it loads and gives the numbers of the original
    other      it loads and gives other numbers, for example for a changed weight
    refused    an error of this package

Anything else is a finding and is raised: another exception, the outcome "other" for a kind of
`EXACT`, more than a second of processor time, or, if memory is measured, more than twice the file
and 4 MiB.
"""

import io
import random
import shutil
import tempfile
import time
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import rnvp_runtime
from rnvp_runtime import Manifest, RnvpError
from rnvp_runtime.bundle.graph_file import check_structure
from tests.faults.bundles import put_graph, sound_bundle

__all__ = ["CHECKPOINT", "KINDS", "fuzz", "fuzz_afresh", "measured", "mutated"]

CHECKPOINT = Path(__file__).parents[1] / "rnvp_deploy/golden/checkpoint_version_1_recipe.pt"
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
MEASURED = 50  # memory is measured for one of this many mutations, since measuring takes time

Judge = Callable[[bytes], str]


def fuzz(kind: str, folder: Path, times: int, seed: int = 0) -> Counter[str]:
    """Mutate a file of ``kind``, a key of `KINDS`, ``times`` times; outcome -> count.

    Args:
        folder: holds the bundle ``model.rnvp``, and for checkpoints ``model.pt``.

    Raises:
        Exception: a finding; a note gives the number of the mutation.
    """
    draw = random.Random(seed)
    original, judge = KINDS[kind](folder)
    outcomes: Counter[str] = Counter()
    for i in range(times):
        content = mutated(original, draw)
        try:
            outcome = (measured if i % MEASURED == 0 else _timed)(judge, content)
            assert outcome != "other" or kind not in EXACT, "it gives other numbers"
            outcomes[outcome] += 1
        except BaseException as error:
            error.add_note(f"{kind}, mutation {i} of seed {seed}")
            raise
    return outcomes


def fuzz_afresh(kind: str, times: int, seed: int) -> tuple[Counter[str], float]:
    """Run `fuzz` in a temporary folder. Return the outcomes and the processor time in seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound_bundle(folder)
        shutil.copy(CHECKPOINT, folder / "model.pt")
        began = time.process_time()
        return fuzz(kind, folder, times, seed), time.process_time() - began


def _timed(judge: Judge, content: bytes) -> str:
    began = time.process_time()
    outcome = judge(content)
    assert time.process_time() - began < 1, "it took more than a second"
    return outcome


def measured(judge: Judge, content: bytes) -> str:
    """Return what ``judge`` returns; memory must stay below twice the content and 4 MiB."""
    tracemalloc.start()
    try:
        outcome = judge(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(content) + (4 << 20), f"{peak:,} bytes for a file of {len(content):,}"
    return outcome


def _manifests(folder: Path) -> tuple[bytes, Judge]:
    bundle = folder / "model.rnvp"
    path = bundle / "manifest.json"
    original, truth = path.read_bytes(), _densities(bundle)

    def judge(content: bytes) -> str:
        try:
            Manifest.from_bytes(content, "model.rnvp")
        except RnvpError:
            return "refused"
        path.write_bytes(content)
        outcome = _compared(bundle, truth)
        path.write_bytes(original)
        return outcome

    return original, judge


def _graphs(folder: Path) -> tuple[bytes, Judge]:
    bundle = folder / "model.rnvp"
    manifest, truth = Manifest.read(bundle), _densities(bundle)
    original = (bundle / "density.onnx").read_bytes()
    text = (bundle / "manifest.json").read_bytes()

    def judge(content: bytes) -> str:
        try:
            check_structure(content, manifest, "density")
        except RnvpError:
            return "refused"
        put_graph(bundle, "density", content)
        outcome = _compared(bundle, truth)
        (bundle / "density.onnx").write_bytes(original)
        (bundle / "manifest.json").write_bytes(text)
        return outcome

    return original, judge


def _checkpoints(folder: Path) -> tuple[bytes, Judge]:
    with zipfile.ZipFile(folder / "model.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in members if name.endswith("data.pkl"))

    def whole(content: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, member in members.items():
                archive.writestr(name, content if name == pickled else member)
        return buffer.getvalue()

    return members[pickled], _judge_of_checkpoints(folder, whole)


def _judge_of_checkpoints(folder: Path, whole: Callable[[bytes], bytes]) -> Judge:
    """Return a judge of checkpoints. ``whole`` makes the file from the mutated part."""
    import torch

    import rnvp_deploy
    from rnvp_deploy.errors import CheckpointError

    changed = folder / "changed.pt"
    truth = rnvp_deploy.load(folder / "model.pt").state_dict()

    def judge(content: bytes) -> str:
        changed.write_bytes(whole(content))
        try:
            found = rnvp_deploy.load(changed).state_dict()
        except CheckpointError:
            return "refused"
        same = found.keys() == truth.keys() and all(
            torch.equal(found[name], truth[name]) for name in truth
        )
        return "equal" if same else "other"

    return judge


def _archives(folder: Path) -> tuple[bytes, Judge]:
    """Mutate the whole file without correcting a checksum: a damaged weight must be found."""
    original = (folder / "model.pt").read_bytes()
    return original, _judge_of_checkpoints(folder, lambda content: content)


KINDS: dict[str, Callable[[Path], tuple[bytes, Judge]]] = {
    "manifest": _manifests,
    "graph": _graphs,
    "checkpoint": _checkpoints,
    "archive": _archives,
}
EXACT = ("manifest", "archive")
"""For these kinds no mutation may give other numbers."""


def _densities(bundle: Path) -> np.ndarray:
    found: np.ndarray = rnvp_runtime.load(bundle).log_prob(X)
    return found


def _compared(bundle: Path, truth: np.ndarray) -> str:
    try:
        found = _densities(bundle)
    except RnvpError:
        return "refused"
    return "equal" if np.array_equal(found, truth, equal_nan=True) else "other"


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Make one to three changes: flip a bit, set a byte, delete, repeat, copy or insert a part."""
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
