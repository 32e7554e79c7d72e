"""The sample stream: Philox4x32-10 and Box–Muller, once for torch and once for ONNX.

Sample *i* of a given seed is always the same row (Salmon, Moraes, Dror and Shaw, *Parallel random
numbers: as easy as 1, 2, 3*, SC 2011). ``docs/stream.md`` specifies the exact bits.

torch has no unsigned 32-bit arithmetic, and its exporter would emulate the operators that ONNX has.
So the stream is one custom operator, ``rnvp::normals``. TorchScript and torch.export trace
``normals`` below; the ONNX exporter replaces the operator by ``onnx_normals``.

Both stack the four lanes of the counter in pairs, E = [x0; x2] and O = [x3; x1], with the rows on
the last, contiguous axis: (2, blocks, n). One round is then

    P = E · [M0; M1],   E' = swap(hi(P) ^ O ^ [k1; k0]),   O' = lo(P)

which is six nodes, and only the lanes of E are swapped.
"""

import math
from typing import Any

import numpy as np
import onnx
import torch
from onnxscript import opset18 as op
from torch import Tensor

__all__ = ["WORDS", "normals", "onnx_normals", "operator"]

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
MASK = 0xFFFFFFFF

WORDS = ("philox_even", "philox_odd")
"""The graph's names for the raw words: [w2; w0] and [w3; w1], each (2, blocks, n), as uint64."""


def normals(seed: Tensor, start: Tensor, count: Tensor | int, dim: int, double: bool) -> Tensor:
    """Rows start … start + count − 1 of the stream of ``seed``: (count, dim) standard normals.

    seed, start, count: int64 scalars; a seed is 64 bits in two's complement. float32, or with
    ``double`` float64, where Box–Muller runs in float64 on the same float32 uniforms.
    """
    blocks = (dim + 3) // 4
    row = (_range(count) + start).reshape(1, 1, -1)
    block = torch.arange(blocks, dtype=torch.int64).reshape(1, -1, 1)
    zero = torch.zeros_like(row + block)
    even = torch.cat([(row & MASK) + zero, block + zero])
    odd = torch.cat([zero, ((row >> 32) & MASK) + zero])
    key = torch.stack([(seed >> 32) & MASK, seed & MASK]).reshape(2, 1, 1)
    weyl = torch.tensor(WEYL[::-1], dtype=torch.int64).reshape(2, 1, 1)
    multiplier = torch.tensor(MULTIPLIERS, dtype=torch.int64).reshape(2, 1, 1)
    for _ in range(ROUNDS):
        # int64 holds the product modulo 2⁶⁴; the mask takes the sign out of the shift.
        product = even * multiplier
        even = (((product >> 32) & MASK) ^ odd ^ key).flip(0)
        odd = product & MASK
        key = (key + weyl) & MASK
    even = even.flip(0)
    u_radius, u_angle = ((words.float() + 0.5) * 2.0**-32 for words in (even, odd))
    if double:
        u_radius, u_angle = u_radius.double(), u_angle.double()
    radius, angle = torch.sqrt(torch.log(u_radius) * -2.0), u_angle * (2 * math.pi)
    # (cos or sin, lanes w2 then w0, block, row) → (row, block, lanes w0 then w2, cos or sin)
    pairs = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)])
    pairs = pairs.flip(1).permute(3, 2, 1, 0)
    return pairs.reshape(-1, 4 * blocks)[:, :dim]


def _range(count: Tensor | int) -> Tensor:
    """0 … count − 1, where count stays an input of the traced module."""
    if not isinstance(count, Tensor):
        return torch.arange(count, dtype=torch.int64)
    if torch.compiler.is_exporting():
        symbol = count.item()
        torch._check(symbol >= 0)  # type: ignore[no-untyped-call]
        return torch.arange(symbol, dtype=torch.int64)
    scripted: Tensor = _scripted_range(count)
    return scripted


@torch.jit.script_if_tracing  # type: ignore[untyped-decorator]
def _scripted_range(count: Tensor) -> Tensor:
    return torch.arange(int(count), dtype=torch.int64)


@torch.library.custom_op("rnvp::normals", mutates_args=())
def operator(seed: Tensor, start: Tensor, count: Tensor, dim: int, double: bool) -> Tensor:
    """``normals`` as one operator, which the ONNX exporter translates by ``onnx_normals``."""
    result: Tensor = normals(seed, start, count, dim, double)
    return result.clone()


@operator.register_fake
def _(seed: Tensor, start: Tensor, count: Tensor, dim: int, double: bool) -> Tensor:
    rows = torch.library.get_ctx().new_dynamic_size()
    return seed.new_empty((rows, dim), dtype=torch.float64 if double else torch.float32)


def onnx_normals(seed: Any, start: Any, count: Any, dim: int, double: bool) -> Any:
    """``normals`` in standard ONNX operators: the same words, normals equal up to rounding."""
    blocks = (dim + 3) // 4
    mask, half = _uint64(MASK), _uint64(32)
    unsigned, real = onnx.TensorProto.UINT64, np.float64 if double else np.float32

    row = op.Cast(op.Range(start, op.Add(start, count), _constant(np.int64(1))), to=unsigned)
    low, high = op.BitwiseAnd(row, mask), op.BitShift(row, half, direction="RIGHT")
    block = np.stack([np.zeros(blocks, np.uint64), np.arange(blocks, dtype=np.uint64)])
    odd = op.Mul(high, _uint64([0, 1], (2, 1, 1)))

    # All round keys at once, [k1; k0] for each round.
    shifts = _uint64([32, 0] * ROUNDS, (2 * ROUNDS, 1, 1))
    key = op.BitShift(op.Cast(seed, to=unsigned), shifts, direction="RIGHT")
    steps = np.arange(ROUNDS, dtype=np.uint64)[:, None] * np.array(WEYL[::-1], np.uint64)
    key = op.BitwiseAnd(op.Add(key, _uint64(steps, (2 * ROUNDS, 1, 1))), mask)
    keys = op.Split(key, axis=0, num_outputs=ROUNDS)

    multiplier, swap = _uint64(MULTIPLIERS, (2, 1, 1)), _constant(np.array([1, 0]))
    # The first product needs no E: of the row's low word and, known now, of the block.
    product = op.Mul(low, _uint64([MULTIPLIERS[0], 0], (2, 1, 1)))
    product = op.Add(product, _uint64(block * MULTIPLIERS[1], (2, blocks, 1)))
    for i in range(ROUNDS):
        shifted = op.BitShift(product, half, direction="RIGHT")
        even = op.BitwiseXor(shifted, op.BitwiseXor(odd, keys[i]))
        odd = op.BitwiseAnd(product, mask)
        if i < ROUNDS - 1:
            product = op.Mul(op.Gather(even, swap, axis=0), multiplier)

    even.name, odd.name = WORDS
    radius = op.Sqrt(op.Mul(op.Log(_uniform(even, double)), _constant(real(-2))))
    if double:  # cos(2π u) = sin(2π (u + ¼)): onnxruntime before 1.29 has no float64 Cos
        turns, turn = _uniform(odd, double), _constant(real(2 * math.pi))
        cos = op.Sin(op.Mul(op.Add(turns, _constant(real(0.25))), turn))
        sin = op.Sin(op.Mul(turns, turn))
    else:  # 2π · u at once, to the bit: powers of two scale exactly
        angle = op.Mul(_plus_half(odd), _constant(real(2 * math.pi) * real(2.0**-32)))
        cos, sin = op.Cos(angle), op.Sin(angle)
    lanes = op.Concat(op.Mul(radius, cos), op.Mul(radius, sin), axis=0)
    lanes = op.Reshape(lanes, _constant(np.array([4 * blocks, -1])))
    return op.Transpose(op.Gather(lanes, _constant(_order(dim)), axis=0), perm=[1, 0])


def _order(dim: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where normal j of a row lies among lanes (cos w2, cos w0, sin w2, sin w0) × blocks."""
    j = np.arange(dim)
    block, word = j // 4, j % 4
    lane = 2 * (word % 2) + (1 - word // 2)
    order: np.ndarray[Any, np.dtype[np.int64]] = lane * ((dim + 3) // 4) + block
    return order


def _uniform(words: Any, double: bool) -> Any:
    """(0, 1] from 32-bit words, in float32 for any dtype of the graph: the same on any engine.

    (w + ½) · 2⁻³² has the bits of w · 2⁻³² + 2⁻³³, since powers of two scale exactly, and no
    constant in it that an optimizer takes for zero.
    """
    u = op.Mul(_plus_half(words), _constant(np.float32(2.0**-32)))
    return op.Cast(u, to=onnx.TensorProto.DOUBLE) if double else u


def _plus_half(words: Any) -> Any:
    return op.Add(op.Cast(words, to=onnx.TensorProto.FLOAT), _constant(np.float32(0.5)))


def _uint64(values: Any, shape: tuple[int, ...] = ()) -> Any:
    return _constant(np.array(values, np.uint64).reshape(shape))


def _constant(value: Any) -> Any:
    return op.Constant(value=onnx.numpy_helper.from_array(np.asarray(value)))
