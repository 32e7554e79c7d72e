"""A flow as the bytes of ``flow.bin``, the native engine's format: ``docs/flow-bin.md``.

A file is a header, records of 64 bytes, and arrays, in the order in which the records name them.
The records are the flow's steps; those of a coupling are followed by the layers of its networks.
Permutations take no record: the state keeps its order, and two lists say which column of x and of z
each column of the state is.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnvp_deploy import RNVP, ir
from rnvp_deploy.ir.networks import scale_outputs
from rnvp_deploy.maps import Affine
from rnvp_deploy.networks import Activation, Norm
from rnvp_deploy.scales import (
    Atan,
    Centred,
    Clip,
    Exp,
    LogSigmoid,
    LogSigmoidPlus,
    LogSoftplus,
    Scale,
    SoftClip,
    Tanh,
)
from rnvp_exporters.errors import ExportError
from rnvp_exporters.lowering import rewrite

__all__ = ["ACTIVATION_NUMBERS", "FILE", "VERSION", "Dtype", "encode", "flow_bin"]

Dtype: TypeAlias = Literal["float32", "float64"]

FILE = "flow.bin"
"""Its name in a bundle."""

VERSION = 1
ALIGNMENT = 64
HEADER = struct.Struct("<8sIIQIIIIdQQ")
RECORD = struct.Struct("<8IddQQ")

COUPLING, LINEAR, AFFINE, DENSE, ACTIVATION, NORM, RESCALE, RESIDUAL = 1, 2, 3, 16, 17, 18, 19, 20
INVERTED, TAKES_CONTEXT, CENTRED, GATED = 1, 2, 4, 1

ACTIVATION_NUMBERS = {
    name: number
    for number, name in enumerate(
        [
            "identity",
            "relu",
            "leaky_relu",
            "tanh",
            "sigmoid",
            "silu",
            "elu",
            "selu",
            "softplus",
            "gelu_tanh",
            "gelu",
            "sin",
            "exp",
            "multiply",
            "clamp_exp",
            "softsign",
            "log_sigmoid",
            "mish",
            "hard_tanh",
            "relu6",
            "hard_sigmoid",
            "hard_swish",
        ]
    )
}
"""The number of each activation in the format. A new one goes to the end."""


def flow_bin(flow: RNVP, dtype: Dtype = "float32") -> bytes:
    """The bytes of ``flow.bin`` for ``flow``, which is not changed.

    Raises:
        ExportError: a weight does not fit the dtype, or the format does not support a layer.
    """
    return encode(rewrite(ir.read(flow)), dtype)


def encode(flow: ir.Flow, dtype: Dtype = "float32") -> bytes:
    """The bytes of a rewritten flow: its only permutation, if any, comes last.

    Raises:
        ExportError: as for ``flow_bin``.
    """
    assert flow.context_scaling is None, "the context is standardised: apply RAW_CONTEXT first"
    steps = list(flow.transforms)
    order: Sequence[int] = range(flow.dim)
    if steps and isinstance(last := steps[-1], ir.Permutation):
        order = last.order
        steps.pop()
    writer = _Writer(np.dtype(dtype))
    writer.numbers(range(flow.dim))
    writer.numbers(np.argsort(order))
    for step in steps:
        writer.step(step)
    constant = sum(map(_log_det, steps)) - 0.5 * flow.dim * math.log(2 * math.pi)
    return writer.finished(flow.dim, flow.context_dim, constant)


def _log_det(step: ir.Transform) -> float:
    match step:
        case ir.DiagonalAffine(_, log_scale):
            return -float(log_scale.sum())
        case ir.Linear(weight, _):
            return float(np.linalg.slogdet(weight).logabsdet)
    return 0.0


@dataclass
class _Record:
    kind: int
    inputs: int
    outputs: int
    name: int = 0
    flags: int = 0
    networks: tuple[int, int, int] = (0, 0, 0)  # records of each network inside
    parameters: tuple[float, float] = (0.0, 0.0)
    arrays: int = 0  # how many arrays there are before its own


@dataclass
class _Writer:
    """Records and arrays, in the order in which they are added."""

    dtype: np.dtype[Any]
    records: list[_Record] = field(default_factory=list)
    arrays: list[bytes] = field(default_factory=list)

    def step(self, step: ir.Transform) -> None:
        """Add a transform."""
        match step:
            case ir.Coupling():
                self._coupling(step)
            case ir.Linear(weight, bias):
                self._record(_Record(LINEAR, len(bias), len(bias)))
                inverse = ir.networks.freeze(np.linalg.inv(weight))
                self._weights(weight, bias, inverse, -inverse @ bias)
            case ir.DiagonalAffine(loc, log_scale):
                self._record(_Record(AFFINE, len(loc), len(loc)))
                self._weights(loc, np.exp(log_scale), np.exp(-log_scale))
            case ir.Elementwise():
                raise ExportError("the native engine has no log, logit or integer columns")
            case _:
                raise AssertionError("a permutation is left before the end: apply RENAME first")

    def _coupling(self, coupling: ir.Coupling) -> None:
        if not isinstance(coupling.map, Affine):
            raise ExportError(f"the native engine has no {type(coupling.map).__name__} couplings")
        scale, flags = coupling.map.scale, INVERTED * coupling.inverted
        flags |= TAKES_CONTEXT * bool(coupling.context_dim)
        if isinstance(scale, Centred):
            scale, flags = scale.inner, flags | CENTRED
        rewritten, moved = scale.rewritten(), len(coupling.active)
        sig, mu = coupling.heads.get("sig", ()), coupling.heads.get("mu", ())
        if sig and (rewritten.gain != 1 or rewritten.shift != 0):
            ones = np.ones(moved)
            sig = scale_outputs(sig, rewritten.gain * ones, rewritten.shift * ones)
        name, parameters = _scale(rewritten.scale)
        networks = (coupling.trunk if sig or mu else (), sig, mu)
        record = _Record(COUPLING, len(coupling.passive), moved, name, flags, parameters=parameters)
        self._record(record)
        self.numbers(coupling.passive)
        self.numbers(coupling.active)
        width, sizes = coupling.inputs, []
        for network in networks:
            before = len(self.records)
            made = self._network(network, width)
            sizes.append(len(self.records) - before)
            if network is networks[0]:
                width = made
        record.networks = (sizes[0], sizes[1], sizes[2])

    def _network(self, network: ir.Network, width: int) -> int:
        """Add the layers, of which the first reads ``width`` columns; returns how many come out."""
        for layer in network:
            width = self._layer(layer, width)
        return width

    def _layer(self, layer: ir.Layer, width: int) -> int:
        match layer:
            case ir.Dense(weight, bias):
                self._record(_Record(DENSE, layer.inputs, layer.outputs))
                self._weights(weight, bias)
                return layer.outputs
            case ir.Rescale(weight, bias):
                self._record(_Record(RESCALE, width, width))
                self._weights(weight, bias)
            case Activation(name, parameter):
                if name not in ACTIVATION_NUMBERS:
                    raise ExportError(f"the native engine has no activation {name}")
                number = ACTIVATION_NUMBERS[name]
                record = _Record(ACTIVATION, width, width, number, parameters=(parameter, 0.0))
                self._record(record)
            case Norm(_, eps, correction):
                parameters = (eps, float(correction))
                self._record(_Record(NORM, width, width, parameters=parameters))
            case ir.Residual(body, gate):
                record = _Record(RESIDUAL, width, width, flags=GATED * (gate is not None))
                self._record(record)
                before = len(self.records)
                self._network(body, width)
                record.networks = (len(self.records) - before, 0, 0)
                if gate is not None:
                    self._layer(gate, gate.inputs)
        return width

    def _record(self, record: _Record) -> None:
        record.arrays = len(self.arrays)
        self.records.append(record)

    def numbers(self, values: ArrayLike) -> None:
        """Add an array of column numbers."""
        self._array(np.asarray(values, "<u4"))

    def _weights(self, *weights: NDArray[np.float64]) -> None:
        for array in weights:
            with np.errstate(over="ignore"):
                cast = np.asarray(array, self.dtype.newbyteorder("<"))
            if not np.isfinite(cast).all():
                raise ExportError(
                    f"a weight is not finite as {self.dtype}: train with another scale function, "
                    "or export with --dtype float64"
                )
            self._array(cast)

    def _array(self, array: NDArray[Any]) -> None:
        content = array.tobytes()
        self.arrays.append(content + bytes(-len(content) % ALIGNMENT))

    def finished(self, dim: int, context_dim: int, constant: float) -> bytes:
        """The whole file."""
        begin = HEADER.size + RECORD.size * len(self.records)
        offsets = [begin]
        for array in self.arrays:
            offsets.append(offsets[-1] + len(array))
        number = {"float32": 1, "float64": 2}[self.dtype.name]
        size, count = offsets[-1], len(self.records)
        magic = b"RNVPFLOW"
        header = HEADER.pack(
            magic, VERSION, number, size, dim, context_dim, count, 0, constant, 0, 0
        )
        records = [
            RECORD.pack(
                record.kind,
                record.inputs,
                record.outputs,
                record.name,
                record.flags,
                *record.networks,
                *record.parameters,
                offsets[record.arrays],
                0,
            )
            for record in self.records
        ]
        return b"".join([header, *records, *self.arrays])


def _scale(scale: Scale) -> tuple[int, tuple[float, float]]:
    """The number of a scale function in the format, and its parameters."""
    match scale:
        case Exp():
            return 0, (0.0, 0.0)
        case Tanh(bound):
            return 1, (bound, 0.0)
        case Atan(bound):
            return 2, (0.636 * bound, 0.0)
        case SoftClip(slope):
            return 3, (abs(1 / math.log(slope)), 0.0)
        case LogSigmoid(sign):
            return 4, (sign, 0.0)
        case LogSigmoidPlus(eps):
            return 5, (eps, 0.0)
        case LogSoftplus(eps, most):
            return 6, (eps, most)
        case Clip(low, high):
            return 7, (low, high)
    raise ExportError(f"the native engine has no scale function {scale}")
