"""``manifest.json``: the description of a bundle, and the one definition of the bundle format.

A bundle is a folder. Its manifest lists every other file with size and hash, the inputs and outputs
of each graph, and the parity measured at export. The exporter builds a `Manifest` and writes
``to_json()``; the runtime reads it with `Manifest.read`. Reading requires every key of version 1
that has no default, and ignores keys that it does not know, so that a later writer may add some.

This module needs no numpy, so that a bundle can be inspected anywhere.
"""

import json
import re
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path, PurePosixPath
from types import UnionType
from typing import Any, NoReturn, Self, get_args, get_origin

from rnvp_runtime.errors import BundleError

__all__ = [
    "FORMAT",
    "VERSION",
    "Checkpoint",
    "ColumnReference",
    "FileRecord",
    "FlowSummary",
    "Graph",
    "Manifest",
    "Parity",
    "Precision",
    "Reference",
    "Spread",
    "TensorSpec",
]

FORMAT = "rnvp-bundle"
VERSION = 1
GRAPHS = ("density", "inverse", "sampler")
"""The graphs of every bundle. Newer bundles have ``gradient`` too."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph."""

    name: str
    dtype: str  # numpy's name: "float32", "float64", "int64"
    shape: tuple[int | str, ...]  # a symbolic axis is its name, e.g. ("n", 2); () is a scalar


@dataclass(frozen=True)
class Graph:
    """One graph of the bundle, the same in every format that it was exported to."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: int  # of the ONNX graph
    files: dict[str, str]  # format ("onnx", "torchscript", "pt2") -> file name


@dataclass(frozen=True)
class Spread:
    """Absolute errors over the probe rows, in the parity's unit and divided by its scale."""

    median: float
    p99: float
    worst: float


@dataclass(frozen=True)
class Parity:
    """The error of one output of one exported graph against eager float64, beside eager's own."""

    graph: str  # "density", "inverse", "sampler", "gradient"
    output: str  # "log_prob", "z", "x", "grad_x", "grad_context"
    format: str  # "onnx", "torchscript", "pt2"
    unit: str  # "nats", or the data's
    scale: tuple[float, ...]  # unit of each column; one number for log_prob
    eager: Spread  # the eager flow's own error in the bundle's dtype
    exported: Spread  # the exported graph's error
    ratio: Spread  # exported / eager
    tolerance: float  # permitted error of element (i, j) of a test vector, divided by scale[j]
    passed: bool


@dataclass(frozen=True)
class Precision:
    """How good the flow is in the bundle's dtype: absolute errors against eager float64."""

    rows: int  # that the flow generated, and that were measured
    non_finite: float  # share of the samples that hold NaN or infinity
    non_finite_columns: tuple[str, ...]  # in which they do
    distinct: float  # share of different values in the column with the fewest
    log_prob: Spread  # error in nats, of data as they are before they are rounded to the dtype
    x: Spread  # error of samples, in standard deviations of the column
    round_trip: Spread  # error of x -> z -> x, in standard deviations
    sensitivity: float | None  # tolerances that outputs move if every weight changes by 0.1 %
    accepted: bool  # exported with --accept-loss although there are faults
    faults: tuple[str, ...]  # what exceeds its limit, in sentences


@dataclass(frozen=True)
class FileRecord:
    """Size and hash of a file of the bundle."""

    sha256: str  # 64 lower-case hexadecimal digits
    bytes: int


@dataclass(frozen=True)
class FlowSummary:
    """The flow in words, and what the runtime needs to choose its tiles."""

    description: str
    couplings: int
    parameters: int
    widths: tuple[int, ...]  # numbers in the widest activations of one row


@dataclass(frozen=True)
class Checkpoint:
    """Where the bundle came from."""

    sha256: str | None  # of model.pt; None if a flow in memory was exported


@dataclass(frozen=True)
class ColumnReference:
    """The distribution of one column of x in a few numbers, in the column's unit."""

    low: float  # quantile 0.001
    median: float
    high: float  # quantile 0.999
    deviation: float


@dataclass(frozen=True)
class Reference:
    """What is normal for the flow: rows to compare new rows with, in a few numbers.

    ``levels[i]`` of the reference rows have at most the log_prob ``log_prob[i]``.
    """

    source: str  # "held-out rows" of the training, or "samples" of the flow
    rows: int
    levels: tuple[float, ...]  # increasing, from 0 to 1
    log_prob: tuple[float, ...]  # quantiles at the levels, nats
    columns: tuple[ColumnReference, ...]  # d of them

    def __post_init__(self) -> None:
        """Raises BundleError: the values contradict each other."""
        _require(self.rows >= 1, "reference.rows should be at least 1")
        _require(
            2 <= len(self.levels) == len(self.log_prob),
            "reference.levels and reference.log_prob should be equally long",
        )
        _require(
            (self.levels[0], self.levels[-1]) == (0, 1) and _is_increasing(self.levels),
            "reference.levels should increase from 0 to 1",
        )
        _require(_is_increasing(self.log_prob), "reference.log_prob should increase")


@dataclass(frozen=True)
class Manifest:
    """All of ``manifest.json``, in the order in which it is written."""

    id: str  # 16 hexadecimal digits, also in each ONNX file's metadata
    dim: int  # d, columns of x and of z
    context_dim: int  # c, 0 for an unconditional flow
    columns: tuple[str, ...]  # d names
    context_columns: tuple[str, ...]  # c names
    dtype: str  # of all float tensors: "float32" or "float64"
    opset: int  # of the ONNX graphs
    ir_version: int  # of the ONNX files
    min_onnxruntime: str  # e.g. "1.21"
    flow: FlowSummary  # what the flow consists of
    graphs: dict[str, Graph]  # density, inverse, sampler, and in newer bundles gradient
    parity: tuple[Parity, ...]  # one for each output of each graph and format
    files: dict[str, FileRecord]  # POSIX path below the bundle -> record; all but manifest.json
    versions: dict[str, str]  # of what exported it: rnvp-deploy, torch, onnx, onnxruntime
    checkpoint: Checkpoint  # what was exported
    precision: Precision | None = None  # None: exported before this was measured
    reference: Reference | None = None  # None in older bundles, and where nothing is known
    format: str = FORMAT  # always FORMAT
    version: int = VERSION  # of the format

    def __post_init__(self) -> None:
        """Refuse values that contradict each other.

        Raises:
            BundleError: the text names the field that is wrong.
        """
        _require(re.fullmatch(r"[0-9a-f]{16}", self.id), "id should be 16 hexadecimal digits")
        _require(self.dim >= 1, "dim should be at least 1")
        _require(self.context_dim >= 0, "context_dim should be at least 0")
        _require(len(self.columns) == self.dim, "columns should hold dim names")
        _require(
            len(self.context_columns) == self.context_dim,
            "context_columns should hold context_dim names",
        )
        names = self.columns + self.context_columns
        _require(len(set(names)) == len(names), "columns and context_columns repeat a name")
        _require(
            self.reference is None or len(self.reference.columns) == self.dim,
            "reference.columns should hold dim columns",
        )
        _require(self.dtype in ("float32", "float64"), "dtype should be float32 or float64")
        _require(
            re.fullmatch(r"\d+(\.\d+)*", self.min_onnxruntime),
            "min_onnxruntime should be a version such as 1.18",
        )
        for name in GRAPHS:
            _require(name in self.graphs, f"graphs.{name} is missing")
        for name, graph in self.graphs.items():
            _require("onnx" in graph.files, f"graphs.{name}.files.onnx is missing")
            for file in graph.files.values():
                _require(file in self.files, f"graphs.{name} names {file!r}, which files lacks")
        for file in self.files:
            _require(_stays_inside(file), f"files holds {file!r}, which is not inside the bundle")

    @classmethod
    def read(cls, folder: str | PathLike[str]) -> Self:
        """Read ``manifest.json`` of the bundle at ``folder``.

        Raises:
            BundleError: there is no such folder, or no manifest in it. Or the manifest is not
                JSON, has another format or a newer version, or a key is missing or has the wrong
                type (the text names it).
        """
        path = Path(folder) / "manifest.json"
        if not Path(folder).is_dir():
            found = "is a file" if Path(folder).exists() else "does not exist"
            raise BundleError(f"{folder} {found}; a bundle is a folder such as model.rnvp")
        if not path.is_file():
            raise BundleError(f"{folder} has no manifest.json, so it is not a bundle")
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise BundleError(f"{path} is not UTF-8 text; export the bundle again") from None
        except BundleError as error:
            raise BundleError(f"{path}: {error}") from None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The manifest in the JSON ``text``.

        Raises:
            BundleError: as `read`.
        """
        try:
            found = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"not JSON ({error}); export the bundle again") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise BundleError(f"not a manifest: its format is not {FORMAT!r}")
        version = found.get("version")
        if type(version) is int and version > VERSION:
            raise BundleError(
                f"format version {version} is newer than this runtime, which reads {VERSION}: "
                "pip install --upgrade rnvp-deploy"
            )
        if type(version) is not int or version != VERSION:
            raise BundleError(f"version should be {VERSION}, found {version!r}")
        manifest: Self = _decode(cls, found, "")
        return manifest

    def to_json(self) -> str:
        """The text of ``manifest.json``; `from_json` gives this manifest back.

        Raises:
            ValueError: a number is NaN or infinite, which JSON cannot hold.
        """
        record = asdict(self)
        head = {"format": record.pop("format"), "version": record.pop("version")}
        return json.dumps(head | record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def parity_of(self, graph: str, output: str, format: str = "onnx") -> Parity | None:
        """The parity measured for one ``output`` of one ``graph``; None if there is none.

        Args:
            graph: ``density``, ``inverse`` or ``sampler``.
            output: ``log_prob``, ``z`` or ``x``.
            format: ``onnx``, ``torchscript`` or ``pt2``.
        """
        wanted = (graph, output, format)
        return next((p for p in self.parity if (p.graph, p.output, p.format) == wanted), None)


def _require(condition: object, complaint: str) -> None:
    if not condition:
        raise BundleError(f"{complaint}; export the bundle again")


def _is_increasing(values: tuple[float, ...]) -> bool:
    return all(one <= next_one for one, next_one in pairwise(values))


def _stays_inside(file: str) -> bool:
    path = PurePosixPath(file)
    plain = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    return plain and not re.search(r"[\\:\x00]", file) and path.as_posix() == file


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


_IN_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _decode(kind: Any, value: Any, where: str) -> Any:
    """``value``, as parsed from JSON, as an instance of ``kind``; ``where`` names it in errors."""
    if is_dataclass(kind):
        found = _expect(dict, value, where, "an object")
        for field in fields(kind):
            if field.name not in found and field.default is MISSING:
                raise BundleError(f"{_inside(where, field.name)} is missing")
        return kind(  # type: ignore[operator]
            **{
                field.name: _decode(field.type, found[field.name], _inside(where, field.name))
                for field in fields(kind)
                if field.name in found
            }
        )
    if get_origin(kind) is tuple:
        found = _expect(list, value, where, "a list")
        item = get_args(kind)[0]
        return tuple(_decode(item, v, f"{where}[{i}]") for i, v in enumerate(found))
    if get_origin(kind) is dict:
        found = _expect(dict, value, where, "an object")
        item = get_args(kind)[1]
        return {k: _decode(item, v, _inside(where, k)) for k, v in found.items()}
    allowed = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    record = next((option for option in allowed if is_dataclass(option)), None)
    if record is not None and value is not None:
        return _decode(record, value, where)
    if type(value) in allowed:
        return value
    if float in allowed and type(value) is int and abs(value) < 2**1023:
        return float(value)
    words = " or ".join(_IN_WORDS.get(t, "null") for t in allowed)
    raise BundleError(f"{where} should be {words}, found {_shown(value)}")


def _expect(kind: type, value: Any, where: str, words: str) -> Any:
    if not isinstance(value, kind):
        raise BundleError(f"{where or 'the whole'} should be {words}, found {_shown(value)}")
    return value


def _inside(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
