"""The stream in plain Python, as short as docs/stream.md says it, and its test vectors.

    python docs/stream_vectors.py > docs/stream-vectors.json

Nothing here is fast, and nothing is imported from the project: this is what others are checked
against.
"""

import json
import math
import struct

PUBLISHED = """
00000000 00000000 00000000 00000000  00000000 00000000  6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff  408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344  a4093822 299f31d0  d16cfe09 94fdcceb 5001e420 24126ea1
"""
"""counter, key, words: the known answers for philox4x32-10 that come with Random123."""

EDGES = (0, 1, 2, 0x00FFFFFF, 0x01000001, 0x01000003, 0x7FFFFFFF, 0x80000000, 0xFFFFFF7F,
         0xFFFFFF80, 0xFFFFFFFF)  # fmt: skip
"""Words around each rounding of the uniform."""

ROWS = (
    (0, 0, 4), (0, 1, 4), (7, 0, 2), (7, 1, 2), (7, 2, 2), (7, 0, 5), (-1, 0, 3),
    (-(2**63), 12345, 6), (2**63 - 1, 2**32 - 1, 4), (2**63 - 1, 2**32, 4),
    (0x0123456789ABCDEF, 2**40 + 5, 9), (7, 2**63 - 2, 43),
)  # fmt: skip
"""(seed, row, normals asked for)."""


def philox4x32_10(counter: list[int], key: list[int]) -> list[int]:
    """Four random words of 32 bits for a counter of four and a key of two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p, q = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (q >> 32) ^ c1 ^ k0, q & 0xFFFFFFFF, (p >> 32) ^ c3 ^ k1, p & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def float32(value: float) -> float:
    """``value``, rounded to the nearest float32, ties to even."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def uniform(word: int) -> float:
    """A float32 in (0, 1]. Every step but the two roundings is exact in Python's float64."""
    return float32(float32(word) * 2.0**-32 + 2.0**-33)


def normals(u: list[float]) -> list[float]:
    """Four standard normals, by Box and Muller, in float64."""
    r, s = (math.sqrt(-2 * math.log(v)) for v in (u[0], u[2]))
    a, b = (2 * math.pi * v for v in (u[1], u[3]))
    return [r * math.cos(a), r * math.sin(a), s * math.cos(b), s * math.sin(b)]


def row(seed: int, i: int, dim: int) -> dict[str, object]:
    """Row ``i`` of the stream ``seed``: its blocks of four, and the ``dim`` normals asked for."""
    key = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    counters = [[i & 0xFFFFFFFF, i >> 32, block, 0] for block in range((dim + 3) // 4)]
    words = [philox4x32_10(counter, key) for counter in counters]
    uniforms = [[uniform(word) for word in block] for block in words]
    return {
        "seed": str(seed),
        "row": str(i),
        "dim": dim,
        "key": spelled(key),
        "words": [spelled(block) for block in words],
        "uniforms": [[bits(u) for u in block] for block in uniforms],
        "normals": [z for block in uniforms for z in normals(block)][:dim],
    }


def spelled(words: list[int]) -> list[str]:
    """Words as eight hexadecimal digits each."""
    return [f"{word:08x}" for word in words]


def bits(value: float) -> str:
    """The 32 bits of a float32, in hexadecimal."""
    return f"{struct.unpack('<I', struct.pack('<f', value))[0]:08x}"


def vectors() -> dict[str, list[dict[str, object]]]:
    """All test vectors, as docs/stream.md describes them."""
    published: list[dict[str, object]] = []
    for line in PUBLISHED.split("\n")[1:-1]:
        numbers = line.split()
        published.append({"counter": numbers[:4], "key": numbers[4:6], "words": numbers[6:]})
    return {
        "philox4x32_10": published,
        "uniforms": [{"word": f"{word:08x}", "uniform": bits(uniform(word))} for word in EDGES],
        "rows": [row(*which) for which in ROWS],
    }


def text() -> str:
    """The file of test vectors: JSON, one vector a line."""
    lists = []
    for name, found in vectors().items():
        lines = ",\n  ".join(map(json.dumps, found))
        lists.append(f' "{name}": [\n  {lines}\n ]')
    return "{\n" + ",\n".join(lists) + "\n}\n"


if __name__ == "__main__":
    print(text(), end="")
