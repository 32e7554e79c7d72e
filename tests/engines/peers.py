"""Engines of other projects, with the interface of `rnvp_runtime.engines.Engine`.

Each opens an ONNX file of a bundle, and imports its package when it opens one.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.engines import ENGINES, Engine, OpenOptions, Provider, Run, Signature

__all__ = ["PEERS", "Peer"]

Array = np.ndarray[Any, Any]
Compute = Callable[[Mapping[str, Array]], Sequence[Array]]


@dataclass(frozen=True)
class Opened:
    """An engine made from one function, which opens a file and returns a function."""

    opener: Callable[[bytes, Signature], Compute]
    format: str = "onnx"
    keeps_nan: bool = True
    wrong_graphs: Mapping[str, str] = field(default_factory=dict)

    def check(self, manifest: Manifest, providers: Sequence[Provider] = ()) -> None:
        """See `rnvp_runtime.engines.Engine.check`; the trial installs what is needed."""

    def open(
        self,
        content: bytes,
        outputs: Sequence[str],
        *,
        signature: Signature | None = None,
        options: OpenOptions | None = None,
    ) -> Run:
        """See `rnvp_runtime.engines.Engine.open`."""
        assert signature is not None
        assert list(outputs) == list(signature.outputs)
        return self.opener(content, signature)


@dataclass(frozen=True)
class Peer:
    """An engine at one version.

    package: the one whose version the table states.
    requirements: what pip installs beside numpy and click. The runtime needs an onnxruntime.
    providers: onnxruntime's execution providers; empty is its default.
    """

    package: str
    engine: Callable[[], Engine]
    requirements: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()


def _reference(content: bytes, signature: Signature) -> Compute:
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.load_from_string(content))

    def compute(feeds: Mapping[str, Array]) -> Sequence[Array]:
        with np.errstate(all="ignore"):  # the vectors hold NaN and infinity
            results = evaluator.run(list(signature.outputs), dict(feeds))
        return [np.asarray(result) for result in results]

    return compute


def _opencv(content: bytes, signature: Signature) -> Compute:
    import cv2

    net = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))

    def compute(feeds: Mapping[str, Array]) -> Sequence[Array]:
        for name, value in feeds.items():
            net.setInput(value, name)
        return list(net.forward(list(signature.outputs)))

    return compute


def _tract(content: bytes, signature: Signature) -> Compute:
    import tract

    with _as_file(content) as path:
        model = tract.onnx().load(path).into_model().into_runnable()
    names = signature.inputs
    return lambda feeds: [out.to_numpy() for out in model.run([feeds[name] for name in names])]


def _tinygrad(content: bytes, signature: Signature) -> Compute:
    from tinygrad.nn.onnx import OnnxRunner

    def compute(feeds: Mapping[str, Array]) -> Sequence[Array]:
        with _as_file(content) as path:  # a runner keeps the number of rows of its first call
            results = OnnxRunner(path)(dict(feeds))
        return [results[name].numpy() for name in signature.outputs]

    return compute


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """The path of a file with ``content``, for engines that only open paths."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        path.write_bytes(content)
        yield str(path)


def _onnxruntime() -> Engine:
    return ENGINES["onnxruntime"]


PEERS: dict[str, Peer] = {
    "onnxruntime, oldest": Peer("onnxruntime", _onnxruntime, ("onnxruntime==1.21.0",)),
    "onnxruntime": Peer("onnxruntime", _onnxruntime, ("onnxruntime",)),
    "onnx.reference": Peer("onnx", lambda: Opened(_reference), ("onnxruntime", "onnx")),
    "OpenVINO": Peer("openvino", lambda: ENGINES["openvino"], ("onnxruntime", "openvino")),
    "onnxruntime, OpenVINO provider": Peer(
        "onnxruntime-openvino",
        _onnxruntime,
        ("onnxruntime-openvino", "openvino"),
        ("OpenVINOExecutionProvider",),
    ),
    "tract": Peer("tract", lambda: Opened(_tract), ("onnxruntime", "tract")),
    "OpenCV": Peer(
        "opencv-python-headless",
        lambda: Opened(_opencv),
        ("onnxruntime", "opencv-python-headless"),
    ),
    "tinygrad": Peer("tinygrad", lambda: Opened(_tinygrad), ("onnxruntime", "tinygrad")),
}
"""Name in the table -> how it is installed and opened."""
