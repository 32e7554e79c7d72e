"""``manifest.json`` is written, read back, and refused in one line if it is invalid."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnvp_runtime import BundleError, Manifest


def test_a_manifest_survives_writing_and_reading(bundle: Path) -> None:
    """from_json is the inverse of to_json."""
    manifest = Manifest.read(bundle)
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_the_format_comes_first(bundle: Path) -> None:
    """A person who opens the file sees its format first."""
    assert list(json.loads((bundle / "manifest.json").read_text()))[:2] == ["format", "version"]


def test_unknown_keys_are_ignored(bundle: Path) -> None:
    """A later writer may add keys without breaking this reader."""
    found = _json(bundle) | {"mood": "good"}
    assert Manifest.from_json(json.dumps(found)) == Manifest.read(bundle)


def test_parity_is_found_by_graph_and_output(bundle: Path) -> None:
    """An output without parity gives None."""
    manifest = Manifest.read(bundle)
    found = manifest.parity_of("density", "log_prob")
    assert found is not None
    assert found.unit == "nats"
    assert manifest.parity_of("density", "log_prob", "pt2") is None


def test_a_bundle_must_be_a_folder_with_a_manifest(tmp_path: Path) -> None:
    """The error says what was found instead."""
    (tmp_path / "file").write_text("")
    for path, said in [
        (tmp_path / "none", "does not exist"),
        (tmp_path / "file", "is a file"),
        (tmp_path, "has no manifest.json"),
    ]:
        with pytest.raises(BundleError, match=said):
            Manifest.read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[1]", "not a manifest"),
        ('{"format": "onnx"}', "its format is not 'rnvp-bundle'"),
        ('{"format": "rnvp-bundle", "version": 2}', "version 2 is newer than this runtime"),
        ('{"format": "rnvp-bundle", "version": "1"}', "version should be 1, found '1'"),
        ('{"format": "rnvp-bundle", "version": 1}', "id is missing"),
        ('{"format": "rnvp-bundle", "version": NaN}', "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_other_texts_are_refused(text: str, said: str) -> None:
    """The BundleError says what was found."""
    with pytest.raises(BundleError, match=said):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    ("mutate", "said"),
    [
        (lambda m: m.update(dim="2"), "dim should be a whole number, found '2'"),
        (lambda m: m.update(dim=True), "dim should be a whole number, found True"),
        (lambda m: m.update(dim=3), "columns should hold dim names"),
        (lambda m: m.update(columns=["a", "a"]), "repeat a name"),
        (lambda m: m.update(dtype="int8"), "dtype should be float32 or float64"),
        (lambda m: m.update(id="xyz"), "id should be 16 hexadecimal digits"),
        (lambda m: m["graphs"].pop("inverse"), r"graphs should be an object with"),
        (lambda m: m["graphs"]["density"].pop("nodes"), r"graphs\.density\.nodes is missing"),
        (lambda m: m["graphs"]["density"].update(files={}), "should be an object with onnx"),
        (lambda m: m["files"].pop("density.onnx"), "which files lacks"),
        (lambda m: m["files"].update({"../x": m["files"]["README.md"]}), "a path inside"),
        (lambda m: m["files"].update({"C:/x": m["files"]["README.md"]}), "a path inside"),
        (lambda m: m["parity"][0].update(scale=["1"]), r"parity\[0\]\.scale\[0\] should be a num"),
        (lambda m: m["flow"].update(widths=128), r"flow\.widths should be a list"),
    ],
)  # fmt: skip
def test_wrong_values_are_named(bundle: Path, mutate: Callable[[Any], Any], said: str) -> None:
    """The error gives the path of the key that is wrong."""
    found = _json(bundle)
    mutate(found)
    with pytest.raises(BundleError, match=said):
        Manifest.from_json(json.dumps(found))


def test_every_missing_or_mistyped_key_is_one_line(bundle: Path) -> None:
    """A change at any place gives a manifest or a one-line BundleError."""
    original = json.dumps(_json(bundle))
    refusals = []
    for path in _paths(json.loads(original)):
        for junk in ("delete", None, -1, "text", [], {}, 1e308, [[1]], "\n"):
            found = json.loads(original)
            parent = found
            for key in path[:-1]:
                parent = parent[key]
            if junk == "delete":
                del parent[path[-1]]
            else:
                parent[path[-1]] = junk
            refusals += _refusal(json.dumps(found))
    assert len(refusals) > 500
    assert not any("\n" in text for text in refusals)


def _refusal(text: str) -> list[str]:
    """The error text for ``text`` in a list, which is empty if there is no error."""
    try:
        Manifest.from_json(text)
    except BundleError as error:
        return [str(error)]
    return []


def _json(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return found


def _paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in nested JSON. Of each list only the first element is visited."""
    keys = list(value) if isinstance(value, dict) else list(range(min(len(value), 1)))
    paths = []
    for key in keys:
        paths.append((*above, key))
        if isinstance(value[key], dict | list):
            paths += _paths(value[key], (*above, key))
    return paths
