"""``manifest.schema.json`` is current, and the Python and JavaScript readers follow it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnvp_runtime import BundleError, Manifest
from rnvp_runtime.bundle.manifest_schema import SCHEMA_FILE, schema_text
from tests.faults.manifest_mutations import mutated_manifests
from tests.runtime.conftest import write_bundle

NODE_READER = Path(__file__).parents[1] / "js" / "manifests.mjs"
TIMES = 3_000


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The manifests of a flow without and with a context, and mutations of both."""
    folder = tmp_path_factory.mktemp("schema")
    originals = [
        (write_bundle(folder / f"{c}.rnvp", context_dim=c) / "manifest.json").read_text("utf-8")
        for c in (0, 2)
    ]
    mutated = [
        text
        for seed, original in enumerate(originals)
        for text in mutated_manifests(original, TIMES // 2, seed)
    ]
    return originals + mutated


@pytest.fixture(scope="module")
def refusals(texts: list[str]) -> list[str | None]:
    """Python's error for each text; None for a valid manifest."""
    return [_refusal(text) for text in texts]


def _refusal(text: str) -> str | None:
    try:
        Manifest.from_json(text)
    except BundleError as error:
        return str(error)
    return None


def test_the_shipped_schema_is_current() -> None:
    """If it fails, run ``python -m rnvp_runtime.bundle.manifest_schema``."""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


def test_the_mutations_are_of_both_kinds(refusals: list[str | None]) -> None:
    """Many mutated texts are valid manifests, and more are not."""
    assert refusals[:2] == [None, None]
    accepted = refusals.count(None)
    assert accepted > TIMES / 20
    assert len(refusals) - accepted > TIMES / 2


def test_python_obeys_the_schema(texts: list[str], refusals: list[str | None]) -> None:
    """The schema's refusals are Python's too. Python refuses more only for the listed reasons."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for value, refusal in _parsed(texts, refusals):
        if validator.is_valid(value):
            assert refusal is None or any(words in refusal for words in BESIDE_WORDS), refusal
        else:
            assert refusal is not None, next(validator.iter_errors(value)).message


BESIDE_WORDS = (
    "should hold dim", "should hold context_dim", "repeat a name", "reference.levels",
    "reference.log_prob should increase", "which files lacks", "puts should be ", "scale should be",
    "files holds",
)  # fmt: skip


def _parsed(texts: list[str], refusals: list[str | None]) -> Iterator[tuple[Any, str | None]]:
    """Yield (value, refusal) of the texts that all readers accept as JSON."""
    for text, refusal in zip(texts, refusals, strict=True):
        if refusal is None or "not JSON" not in refusal:
            yield json.loads(text), refusal


def test_javascript_accepts_what_python_accepts(
    texts: list[str], refusals: list[str | None]
) -> None:
    """Both readers accept the same texts."""
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    done = subprocess.run(
        ["node", str(NODE_READER)], input=json.dumps(texts), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    differing = [
        (python, javascript)
        for python, javascript in zip(refusals, answers, strict=True)
        if (python is None) != (javascript is None)
    ]
    assert differing == []
