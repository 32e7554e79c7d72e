"""``manifest.json``: the description of a bundle, and the one definition of the bundle format.

A bundle is a folder. Its manifest lists every other file with size and hash, the inputs and outputs
of each graph, and the parity measured at export. The exporter builds a `Manifest` and writes
``to_json()``; the runtime reads it with `Manifest.read`. Reading requires every key of version 1
that has no default, and ignores unknown keys, so that a later writer may add some.

This module needs no numpy, so that a bundle can be inspected anywhere.
"""

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Annotated, Self

from rnvp_runtime.bundle import file_names
from rnvp_runtime.bundle.limits import (
    MAX_COLUMNS,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_INTEGER,
    MAX_MANIFEST_BYTES,
)
from rnvp_runtime.bundle.record_decoding import decode, short_key, shown
from rnvp_runtime.bundle.rules import (
    Rule,
    above,
    at_least,
    check_rules,
    matching,
    one_of,
    within,
)
from rnvp_runtime.bundle.sources import BundlePath, FileFault, Source, open_source
from rnvp_runtime.bundle.strict_json import parse_json
from rnvp_runtime.bundle.tensors import TensorSpec, graph_tensors, in_words
from rnvp_runtime.errors import BundleError
from rnvp_runtime.terminal.printable import printable

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
    "read_text",
]

FORMAT = "rnvp-bundle"
VERSION = 1
GRAPHS = ("density", "inverse", "sampler")
"""The graphs of every bundle. Newer bundles have ``gradient`` too."""

Count = Annotated[int, within(0, MAX_INTEGER)]
FileName = Annotated[str, file_names.RULE]
Id = Annotated[str, matching("^[0-9a-f]{16}$", "16 hexadecimal digits")]
Hash = Annotated[str, matching("^[0-9a-f]{64}$", "64 hexadecimal digits")]

_VERSION = matching(r"^[0-9]{1,9}(\.[0-9]{1,9}){0,3}$", "a version such as 1.18")
_TWO = Rule("a list of 2 or more", {"minItems": 2})
_ONNX = Rule("an object with onnx", {"required": ["onnx"]})
_ALL = Rule(f"an object with {', '.join(GRAPHS)}", {"required": list(GRAPHS)})
_FEW_FILES = Rule(f"at most {MAX_FILES:,} files", {"maxProperties": MAX_FILES})


@dataclass(frozen=True)
class Graph:
    """One graph of the bundle, the same in every format that it was exported to."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: Count  # of the ONNX graph
    files: Annotated[dict[str, str], _ONNX]  # format -> file name; "native" is flow.bin for all


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
    format: str  # "onnx", "torchscript", "pt2", "native"
    unit: str  # "nats", or the data's
    scale: tuple[Annotated[float, above(0)], ...]  # unit of each column; one number for log_prob
    eager: Spread  # the eager flow's own error in the bundle's dtype
    exported: Spread  # the exported graph's error
    ratio: Spread  # exported / eager
    tolerance: Annotated[
        float, at_least(0)
    ]  # permitted error of element (i, j) of a test vector, divided by scale[j]
    passed: bool


@dataclass(frozen=True)
class Precision:
    """How good the flow is in the bundle's dtype: absolute errors against eager float64."""

    rows: Count  # that the flow generated, and that were measured
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

    sha256: Hash
    bytes: Annotated[int, within(0, MAX_FILE_BYTES)]


@dataclass(frozen=True)
class FlowSummary:
    """The flow in words, and what the runtime needs to choose its tiles."""

    description: str
    couplings: Count
    parameters: Count
    widths: tuple[
        Annotated[int, within(1, 2**31 - 1)], ...
    ]  # numbers in the widest activations of one row


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
    rows: Annotated[int, within(1, MAX_INTEGER)]
    levels: Annotated[tuple[float, ...], _TWO]  # increasing, from 0 to 1
    log_prob: tuple[float, ...]  # quantiles at the levels, nats
    columns: tuple[ColumnReference, ...]  # d of them
    context_columns: tuple[ColumnReference, ...] = ()  # c of them; () where they are not known

    def __post_init__(self) -> None:
        """Raises BundleError: the values contradict each other."""
        _require(
            len(self.levels) == len(self.log_prob),
            "reference.levels and reference.log_prob should be equally long",
        )
        _require(
            (self.levels[:1], self.levels[-1:]) == ((0,), (1,)) and _is_increasing(self.levels),
            "reference.levels should increase from 0 to 1",
        )
        _require(_is_increasing(self.log_prob), "reference.log_prob should increase")


@dataclass(frozen=True)
class Manifest:
    """All of ``manifest.json``, in the order in which it is written."""

    id: Id  # also in each ONNX file's metadata
    dim: Annotated[int, within(1, MAX_COLUMNS)]  # d, columns of x and of z
    context_dim: Annotated[int, within(0, MAX_COLUMNS)]  # c, 0 for an unconditional flow
    columns: tuple[str, ...]  # d names
    context_columns: tuple[str, ...]  # c names
    dtype: Annotated[str, one_of("float32", "float64")]  # of all float tensors
    opset: Annotated[int, within(1, 999)]  # of the ONNX graphs
    ir_version: Annotated[int, within(1, 999)]  # of the ONNX files
    min_onnxruntime: Annotated[str, _VERSION]  # e.g. "1.21"
    flow: FlowSummary  # what the flow consists of
    graphs: Annotated[dict[str, Graph], _ALL]  # density, inverse, sampler, and mostly gradient
    parity: tuple[Parity, ...]  # one for each output of each graph and format
    files: Annotated[dict[FileName, FileRecord], _FEW_FILES]  # of all files but manifest.json
    versions: dict[str, str]  # of what exported it: rnvp-deploy, torch, onnx, onnxruntime
    checkpoint: Checkpoint  # what was exported
    precision: Precision | None = None  # None: exported before this was measured
    reference: Reference | None = None  # None in older bundles, and where nothing is known
    native_refusal: str | None = None  # why no graph has the format "native"; None: it has, or old
    format: Annotated[str, one_of(FORMAT)] = FORMAT  # always FORMAT
    version: Annotated[int, within(VERSION, VERSION)] = VERSION  # of the format

    def __post_init__(self) -> None:
        """Refuse values that contradict each other.

        Raises:
            BundleError: the text names the field that is wrong.
        """
        check_rules(self)
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
        _require(
            self.reference is None or len(self.reference.context_columns) in (0, self.context_dim),
            "reference.context_columns should hold context_dim columns or none",
        )
        fault = file_names.find_fault(self.files)
        _require(fault is None, f"files holds {fault}")
        for name, graph in self.graphs.items():
            self._check_graph(name, graph)
        for i, parity in enumerate(self.parity):
            self._check_parity(f"parity[{i}]", parity)

    def _check_graph(self, name: str, graph: "Graph") -> None:
        for file in graph.files.values():
            _require(
                file in self.files,
                f"graphs.{short_key(name)} names {file[:80]!a}, which files lacks",
            )
        expected = graph_tensors(name, self.dim, self.context_dim, self.dtype)
        if expected is None:  # of a later version
            return
        for kind, specs, wanted in zip(
            ("inputs", "outputs"), (graph.inputs, graph.outputs), expected, strict=True
        ):
            found = tuple(spec.with_row_axis() for spec in specs)
            _require(
                found == wanted,
                f"graphs.{name}.{kind} should be {in_words(wanted)}, found {in_words(specs)}",
            )

    def _check_parity(self, where: str, parity: "Parity") -> None:
        width = {"log_prob": 1, "grad_context": self.context_dim}.get(parity.output, self.dim)
        _require(len(parity.scale) == width, f"{where}.scale should be {width} numbers")

    @classmethod
    def read(cls, path: BundlePath) -> Self:
        """Read ``manifest.json`` of the bundle at ``path``: a folder, zip file or resource.

        Raises:
            BundleError: there is no such folder, or no manifest in it. Or the manifest is not
                JSON, has another format or a newer version, or a key is missing or has the wrong
                type (the text names it).
        """
        return cls.read_from(open_source(path))

    @classmethod
    def read_from(cls, source: Source) -> Self:
        """Read ``manifest.json`` of ``source``. BundleError as for `read`."""
        return cls.from_bytes(read_text(source), source.name)

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> Self:
        """The manifest in ``content``, the bytes of a ``manifest.json``.

        Args:
            content: UTF-8 text.
            name: what errors call the bundle.

        Raises:
            BundleError: as `read`.
        """
        try:
            return cls.from_json(content.decode("utf-8"))
        except UnicodeDecodeError:
            raise BundleError(
                f"{name}/manifest.json is not UTF-8 text; export the bundle again"
            ) from None
        except BundleError as error:
            raise BundleError(f"{name}/manifest.json: {error}") from None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The manifest in the JSON ``text``.

        Raises:
            BundleError: as `read`.
        """
        try:
            found = parse_json(text)
        except ValueError as error:
            raise BundleError(f"not JSON ({error}); export the bundle again") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise BundleError(f"not a manifest: its format is not {FORMAT!r}")
        version = found.get("version")
        if type(version) is float and version.is_integer():
            version = int(version)
        if type(version) is int and version > VERSION:
            raise BundleError(
                f"format version {version} is newer than this runtime, which reads {VERSION}: "
                "pip install --upgrade rnvp-deploy"
            )
        if type(version) is not int or version != VERSION:
            raise BundleError(f"version should be {VERSION}, found {shown(version)}")
        manifest: Self = decode(cls, found)
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
            format: ``onnx``, ``torchscript``, ``pt2`` or ``native``.
        """
        wanted = (graph, output, format)
        return next((p for p in self.parity if (p.graph, p.output, p.format) == wanted), None)


def read_text(source: Source) -> bytes:
    """The bytes of ``manifest.json``. BundleError: there is none, or it is too large."""
    try:
        return source.read("manifest.json", None, MAX_MANIFEST_BYTES)
    except FileFault as error:
        if error.fault != "is missing":
            raise
        said = f"{source.name} has no manifest.json, so it is not a bundle"
        raise BundleError(said + _what_it_holds(source)) from None


def _what_it_holds(source: Source) -> str:
    """The end of the error for what is not a bundle but holds some."""
    try:
        found = source.bundles()
    except Exception:  # it was replaced, or may not be listed
        return ""
    if not found:
        return ""
    shown = ", ".join(printable(name) for name in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return (
        f": it holds {shown}{more}: give the folder of one bundle, or a zip file with its files at "
        "the top or in one folder"
    )


def _require(condition: object, complaint: str) -> None:
    if not condition:
        raise BundleError(f"{complaint}; export the bundle again")


def _is_increasing(values: tuple[float, ...]) -> bool:
    return all(one <= next_one for one, next_one in pairwise(values))
