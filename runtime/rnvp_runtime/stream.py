"""The standard normals that samples are made from, in numpy.

Sample *i* of a given seed is always the same row, in every language and with any batch size and
number of threads. Its normals come from Philox4x32-10, a counter-based generator: it has no state,
so that any row can be computed on its own.

    key     = (seed low, seed high)                  32 bits each
    counter = (row low, row high, block, 0)          32 bits each
    words   = philox4x32(counter, key)               block j yields normals 4j ... 4j+3
    u       = float32(word) * 2**-32 + 2**-33        in float32, 0 < u <= 1
    z0, z1  = sqrt(-2 ln u0) * (cos, sin)(2 pi u1)   Box-Muller, on (w0, w1) then (w2, w3)

``sampler.onnx`` computes the same numbers. This module is for engines that cannot run it: draw
`normals` here and pass them to ``inverse.onnx``.

Reference: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as
1, 2, 3. SC '11.
"""

import os

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnvp_runtime.errors import InputError

__all__ = ["fresh_seed", "normals", "philox4x32", "signed_seed", "words"]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)  # added to the key each round: the golden ratio, sqrt(3) - 1
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_CHUNK = 8192  # counters at a time: the working set stays in the L2 cache


def philox4x32(counter: NDArray[np.uint32], key: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Philox4x32-10: four random words for each counter.

    Args:
        counter: (..., 4) uint32.
        key: (2,) uint32.

    Returns:
        (..., 4) uint32.
    """
    counter = np.asarray(counter, dtype=np.uint32)
    c = [counter[..., i].astype(np.uint64) for i in range(4)]
    k = [int(word) for word in np.asarray(key, dtype=np.uint32)]
    for _ in range(_ROUNDS):
        left, right = c[0] * _MULTIPLIERS[0], c[2] * _MULTIPLIERS[1]
        c = [
            (right >> _HALF) ^ c[1] ^ np.uint64(k[0]),
            right & _LOW,
            (left >> _HALF) ^ c[3] ^ np.uint64(k[1]),
            left & _LOW,
        ]
        k = [(word + step) & 0xFFFFFFFF for word, step in zip(k, _WEYL, strict=True)]
    return np.stack(c, axis=-1).astype(np.uint32)


def words(seed: int, start: int, count: int, dim: int) -> NDArray[np.uint32]:
    """The random words of rows ``start`` ... ``start + count - 1``.

    Args:
        seed: -2**63 ... 2**64 - 1; negative ones by two's complement.
        start: number of the first row, at least 0.
        count: number of rows, at least 0; ``start + count`` is at most 2**63 - 1.
        dim: normals in a row.

    Returns:
        (count, ceil(dim / 4), 4) uint32.

    Raises:
        InputError: a number is out of range.
    """
    _check_rows(start, count)
    blocks = -(-dim // 4)
    seed = signed_seed(seed)
    key = np.array([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF], dtype=np.uint32)
    out = np.empty((count, blocks, 4), dtype=np.uint32)
    step = max(1, _CHUNK // max(1, blocks))
    for low in range(0, count, step):
        rows = np.arange(start + low, start + min(low + step, count), dtype=np.uint64)
        counter = np.zeros((len(rows), blocks, 4), dtype=np.uint32)
        counter[..., 0] = (rows & _LOW)[:, None]
        counter[..., 1] = (rows >> _HALF)[:, None]
        counter[..., 2] = np.arange(blocks, dtype=np.uint32)
        out[low : low + step] = philox4x32(counter, key)
    return out


def normals(
    seed: int, start: int, count: int, dim: int, dtype: DTypeLike = np.float32
) -> NDArray[np.floating]:
    """Standard normals of rows ``start`` ... ``start + count - 1``.

    Args:
        seed, start, count, dim: as for `words`.
        dtype: float32 or float64, in which Box-Muller is evaluated. The uniforms are float32
            numbers in either case.

    Returns:
        (count, dim) of ``dtype``.

    Raises:
        InputError: a number is out of range.
    """
    _check_rows(start, count)
    out = np.empty((count, dim), dtype=dtype)
    kind = out.dtype.type
    step = max(1, _CHUNK // max(1, dim))
    for low in range(0, count, step):
        rows = min(step, count - low)
        word = words(seed, start + low, rows, dim).reshape(rows, -1, 2)
        u = word.astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)
        radius = np.sqrt(kind(-2) * np.log(u[..., 0].astype(kind)))
        angle = kind(2 * np.pi) * u[..., 1].astype(kind)
        pair = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
        out[low : low + rows] = pair.reshape(rows, -1)[:, :dim]
    return out


def signed_seed(seed: int) -> int:
    """``seed`` as the int64 with the same 64 bits.

    Raises:
        InputError: it is not within -2**63 ... 2**64 - 1.
    """
    if not -(2**63) <= seed < 2**64:
        raise InputError(f"seed {seed} does not fit 64 bits: give one from -2**63 to 2**64 - 1")
    return seed if seed < 2**63 else seed - 2**64


def fresh_seed() -> int:
    """A seed from the operating system's entropy, 0 ... 2**63 - 1."""
    return int.from_bytes(os.urandom(8), "little") >> 1


def _check_rows(start: int, count: int) -> None:
    if start < 0 or count < 0 or start + count >= 2**63:
        raise InputError(
            f"rows {start} to {start} + {count} are out of range: start and count are at least 0, "
            "their sum at most 2**63 - 1"
        )
