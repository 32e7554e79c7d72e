"""A manifest with absurd values, or one that readers may understand differently, is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnvp_runtime import BundleError, Manifest
from rnvp_runtime.bundle.limits import MAX_MANIFEST_BYTES

RECORD = {"sha256": "0" * 64, "bytes": 1}


def _text(bundle: Path) -> str:
    return (bundle / "manifest.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda text: text.replace('"dim": 2', '"dim": 2, "dim": 2', 1), "'dim' stands twice"),
        (lambda text: text.replace("0.0001", "NaN", 1), "holds NaN"),
        (lambda text: text.replace("0.0001", "-Infinity", 1), "holds -Infinity"),
        (lambda text: text.replace("0.0001", "1e999", 1), "does not fit a float64"),
        (lambda text: text.replace('"dim": 2', f'"dim": {"9" * 5000}', 1), "does not fit 64 bits"),
        (lambda text: text.replace('"version": 1', f'"version": {"9" * 19}', 1), "64 bits"),
        (lambda text: text.replace('"x0"', '"\\ud800"', 1), "half of a surrogate pair"),
        (lambda text: text.replace('"x0"', "[" * 990 + "]" * 990, 1), "nested more than 16 deep"),
        (lambda text: "[" * 100_000, "not JSON"),
        (lambda text: text + "{}", "not JSON"),
        (lambda text: "\ufeff" + text, "not JSON"),
    ],
)
def test_texts_that_readers_differ_on(bundle: Path, alter: Callable[[str], str], said: str) -> None:
    """Each text gives a BundleError of one line."""
    altered = alter(_text(bundle))
    assert altered != _text(bundle)
    with pytest.raises(BundleError, match=said) as error:
        Manifest.from_json(altered)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "../x", "a/../x", "a//b", "./a", "a/", "", "a\\b", "C:/x", "C:x", "a\x00b",
        "a\x1b[2J", "a\nb", "CON", "aux.txt", "tests/NUL", "a.", "a ", "manifest.json",
        "MANIFEST.json", "README.MD", "ｒeadme.md", "density.onnx/x", "x" * 300, "a?b", "a\u202eb",
        "straße.txt",
    ],
)  # fmt: skip
def test_names_that_are_not_one_file_inside_the_bundle(bundle: Path, name: str) -> None:
    """Names may not leave the bundle or collide, and every system must be able to store them."""
    found = json.loads(_text(bundle))
    found["files"][name] = RECORD
    with pytest.raises(BundleError, match=r"a name of files should be|files holds") as error:
        Manifest.from_json(json.dumps(found))
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("mutate", "said"),
    [
        (lambda m: m.update(dim=10**9), "dim should be 1 to 65536"),
        (lambda m: m.update(opset=10**6), "opset should be"),
        (lambda m: m.update(ir_version=-1), "ir_version should be"),
        (lambda m: m.update(min_onnxruntime="1." + "9" * 5000), "min_onnxruntime should be"),
        (lambda m: m["flow"].update(widths=[0]), r"widths\[0\] should be 1 to"),
        (lambda m: m["parity"][0].update(tolerance=-1.0), "tolerance should be at least 0"),
        (lambda m: m["parity"][1].update(scale=[1.0]), "scale should be 2 numbers"),
        (lambda m: m["parity"][1].update(scale=[1.0, 0.0]), r"scale\[1\] should be above 0"),
        (lambda m: m["files"]["README.md"].update(bytes=-1), "bytes should be 0 to"),
        (lambda m: m["files"]["README.md"].update(bytes=2**40), "bytes should be 0 to"),
        (lambda m: m["files"]["README.md"].update(sha256="A" * 64), "64 hexadecimal digits"),
        (lambda m: m["graphs"]["density"]["inputs"][0].update(dtype="float64"), "inputs should"),
        (lambda m: m["graphs"]["density"]["inputs"][0].update(shape=["n", 3]), "inputs should"),
        (lambda m: m["graphs"]["density"]["outputs"].reverse(), "outputs should be log_prob"),
        (lambda m: m["graphs"]["sampler"]["inputs"].pop(), "inputs should be seed"),
    ],
)
def test_values_that_contradict_or_are_absurd(
    bundle: Path, mutate: Callable[[Any], Any], said: str
) -> None:
    """The error names the key."""
    found = json.loads(_text(bundle))
    mutate(found)
    with pytest.raises(BundleError, match=said):
        Manifest.from_json(json.dumps(found))


def test_a_manifest_over_the_limit_is_not_read(make_bundle: Callable[..., Path]) -> None:
    """The limit is 1 MiB."""
    path = make_bundle()
    with (path / "manifest.json").open("a", encoding="utf-8") as file:
        file.write(" " * MAX_MANIFEST_BYTES)
    with pytest.raises(BundleError, match="at most 1,048,576 are read"):
        Manifest.read(path)
