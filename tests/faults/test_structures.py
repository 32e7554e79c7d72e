"""JavaScript opens exactly the ONNX files that Python opens."""

import base64
import json
import random
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest

from rnvp_runtime import BundleError, Manifest
from rnvp_runtime.bundle.graph_file import check_structure
from rnvp_runtime.bundle.onnx_structure import OPERATORS
from tests.faults.bundles import GRAPH_FAULTS, sound_bundle
from tests.faults.fuzzing import mutated

JS = Path(__file__).parents[1] / "js"
OPERATORS_FILE = JS.parents[1] / "runtime" / "js" / "src" / "operators.js"
TIMES = 5_000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid bundle. Tests must not change it."""
    return sound_bundle(tmp_path_factory.mktemp("structures"))


def python_refusal(content: bytes, manifest: Manifest) -> str | None:
    """Python's error for a density graph; None if it would be opened."""
    try:
        check_structure(content, manifest, "density")
    except BundleError as error:
        return str(error)
    return None


def javascript_refusals(contents: list[bytes], bundle: Path) -> list[str | None]:
    """JavaScript's error for each density graph; None if it would be opened."""
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    given = {
        "manifest": (bundle / "manifest.json").read_text(encoding="utf-8"),
        "graph": "density",
        "files": [base64.b64encode(content).decode() for content in contents],
    }
    done = subprocess.run(
        ["node", str(JS / "structures.mjs")],
        input=json.dumps(given),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers: list[str | None] = json.loads(done.stdout)
    return answers


def differing(contents: list[bytes], bundle: Path) -> list[tuple[str | None, str | None]]:
    """The answers for files that one reader opens and the other refuses."""
    manifest = Manifest.read(bundle)
    return [
        (python, javascript)
        for python, javascript in zip(
            (python_refusal(content, manifest) for content in contents),
            javascript_refusals(contents, bundle),
            strict=True,
        )
        if (python is None) != (javascript is None)
    ]


def test_the_operators_are_the_same() -> None:
    """JavaScript's list is a copy of Python's."""
    listed = OPERATORS_FILE.read_text(encoding="utf-8").split('"')[1::2]
    assert listed == sorted(OPERATORS)


def test_javascript_refuses_every_fault(bundle: Path) -> None:
    """JavaScript gives Python's reason in one line."""
    contents = []
    for alter, _ in GRAPH_FAULTS.values():
        model = onnx.load(bundle / "density.onnx")
        alter(model)
        contents.append(model.SerializeToString())
    answers = javascript_refusals(contents, bundle)
    for (fault, (_, said)), answer in zip(GRAPH_FAULTS.items(), answers, strict=True):
        assert answer is not None, fault
        assert said.replace("'", '"') in answer, fault
        assert "\n" not in answer, fault


def test_javascript_opens_what_python_opens(bundle: Path) -> None:
    """The test compares the readers on a valid graph and on many mutations of it."""
    original, draw = (bundle / "density.onnx").read_bytes(), random.Random(4)
    contents = [original, *(mutated(original, draw) for _ in range(TIMES))]
    assert python_refusal(original, Manifest.read(bundle)) is None
    assert differing(contents, bundle) == []
