"""docs/stream.md and its test vectors agree with the runtime, the sampler and randomgen."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from rnvp_runtime.engines import ENGINES
from rnvp_runtime.stream import normals, philox4x32, words
from tests.embedding.exported import Bundle

DOCS = Path(__file__).parents[2] / "docs"
VECTORS = json.loads((DOCS / "stream-vectors.json").read_text())
ROWS = VECTORS["rows"]
ROW_IDS = [f"seed {row['seed']} row {row['row']}" for row in ROWS]


def integers(spelled: Any) -> np.ndarray:
    """Hexadecimal words, in nested lists, as uint32."""
    return np.vectorize(lambda word: int(word, 16), otypes=[np.uint32])(np.array(spelled))


def test_the_file_is_what_its_script_writes() -> None:
    """The script imports nothing of the project."""
    spec = importlib.util.spec_from_file_location("stream_vectors", DOCS / "stream_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (DOCS / "stream-vectors.json").read_text() == script.text()


@pytest.mark.parametrize("answer", VECTORS["philox4x32_10"])
def test_the_runtime_gives_the_known_answers(answer: dict[str, list[str]]) -> None:
    """The page shows the same answers."""
    counter, key, expected = (integers(answer[name]) for name in ("counter", "key", "words"))
    np.testing.assert_array_equal(philox4x32(counter, key), expected)
    page = (DOCS / "stream.md").read_text(encoding="utf-8")
    assert " | ".join(" ".join(answer[name]) for name in ("counter", "key", "words")) in page


@pytest.mark.parametrize("row", ROWS, ids=ROW_IDS)
def test_the_runtime_gives_each_row(row: dict[str, Any]) -> None:
    """The words are equal, and the normals agree up to rounding in both dtypes."""
    where = int(row["seed"]), int(row["row"]), 1, row["dim"]
    np.testing.assert_array_equal(words(*where)[0], integers(row["words"]))
    for dtype, atol in ((np.float64, 1e-14), (np.float32, 4e-6)):
        np.testing.assert_allclose(normals(*where, dtype)[0], row["normals"], rtol=1e-15, atol=atol)


@pytest.mark.parametrize("row", ROWS, ids=ROW_IDS)
def test_randomgen_gives_the_same_words(row: dict[str, Any]) -> None:
    """randomgen is an independent implementation. It increments its counter before it draws."""
    randomgen = pytest.importorskip("randomgen")
    key = int(row["seed"]) % 2**64
    for block, expected in enumerate(row["words"]):
        counter = (int(row["row"]) + (block << 64) - 1) % 2**128
        philox = randomgen.Philox(counter=counter, key=key, number=4, width=32)
        assert [f"{int(word):08x}" for word in philox.random_raw(4)] == expected


@pytest.mark.parametrize(
    ("word", "uniform"), [(edge["word"], edge["uniform"]) for edge in VECTORS["uniforms"]]
)
def test_uniforms_round_as_the_page_says(word: str, uniform: str) -> None:
    """Both formulas give these bits in the float32 of numpy."""
    w = integers([word]).astype(np.float32)
    found = w * np.float32(2**-32) + np.float32(2**-33)
    np.testing.assert_array_equal(found.view(np.uint32), integers([uniform]))
    np.testing.assert_array_equal((w + np.float32(0.5)) * np.float32(2**-32), found)


def test_the_page_computes_a_row() -> None:
    """The example on the page has the numbers of the test vectors."""
    page = (DOCS / "stream.md").read_text(encoding="utf-8")
    row = next(r for r in ROWS if (r["seed"], r["row"], r["dim"]) == ("7", "0", 2))
    u = integers(row["uniforms"][0]).view(np.float32)
    for label, shown in (
        ("key", row["key"]),
        ("words", row["words"][0]),
        ("u, bits", row["uniforms"][0]),
        ("u", [repr(float(v)) for v in u]),
        ("z", [repr(z) for z in row["normals"]]),
    ):
        assert f"    {label:<9}{' '.join(shown)}\n" in page


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=ROW_IDS)
def test_the_exported_sampler_gives_the_same_words(bundle: Bundle, row: dict[str, Any]) -> None:
    """The words are outputs of the graph in onnxruntime, without any float number."""
    path = bundle.path / "sampler.onnx"
    model = onnx.load(path)
    for name in ("philox_even", "philox_odd"):
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT64, None)
        )
    run = ENGINES["onnxruntime"].open(model.SerializeToString(), ["philox_even", "philox_odd"])
    feeds: dict[str, Any] = {
        "seed": np.array(int(row["seed"]), np.int64),
        "start": np.array(int(row["row"]), np.int64),
        "count": np.array(1, np.int64),
        "temperature": np.array(1, bundle.flow.manifest.dtype),
        **bundle.with_context(1),
    }
    even, odd = run(feeds)
    found = np.stack([even[1], odd[1], even[0], odd[0]], axis=-1)[:, 0]  # (blocks, 4)
    expected = integers(row["words"])
    shared = min(len(found), len(expected))
    np.testing.assert_array_equal(found[:shared], expected[:shared])
