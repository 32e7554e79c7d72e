"""The sample stream in numpy: known answers, independence of the cuts, and distribution."""

import numpy as np
import pytest
from scipy import stats

from rnvp_runtime import InputError
from rnvp_runtime.stream import fresh_seed, normals, philox4x32, signed_seed, words

KNOWN = """
00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1
"""  # Random123's kat_vectors: counter, key, words


@pytest.mark.parametrize("line", KNOWN.split("\n")[1:-1], ids=["zero", "ones", "pi"])
def test_philox_gives_the_published_answers(line: str) -> None:
    """Random123 publishes the answers for philox4x32-10."""
    numbers = np.array([int(word, 16) for word in line.split()], np.uint32)
    assert philox4x32(numbers[:4], numbers[4:6]).tolist() == numbers[6:].tolist()


def test_words_are_philox_of_row_and_block() -> None:
    """Key and counter have the documented layout, for rows beyond 32 bits too."""
    seed, row = 0x0123456789ABCDEF, 2**40 + 5
    found = words(seed, row - 3, 10, dim=9)
    assert found.shape == (10, 3, 4)
    key = np.array([0x89ABCDEF, 0x01234567], np.uint32)
    counter = np.array([row & 0xFFFFFFFF, row >> 32, 2, 0], np.uint32)
    assert found[3, 2].tolist() == philox4x32(counter, key).tolist()


def test_rows_do_not_depend_on_how_they_are_cut() -> None:
    """Rows 0 ... n - 1 are equal if drawn at once, in pieces and across inner chunks."""
    whole = normals(5, 0, 20_000, 3)
    cut = [normals(5, start, count, 3) for start, count in ((0, 1), (1, 12_345), (12_346, 7_654))]
    np.testing.assert_array_equal(np.concatenate(cut), whole)


def test_fewer_columns_are_the_first_columns() -> None:
    """Normal j of row i does not depend on the number of columns."""
    np.testing.assert_array_equal(normals(5, 0, 50, 3), normals(5, 0, 50, 8)[:, :3])


def test_float64_starts_from_the_same_uniforms() -> None:
    """Both dtypes agree within the rounding of float32."""
    double = normals(5, 0, 1000, 4, np.float64)
    assert double.dtype == np.float64
    np.testing.assert_allclose(normals(5, 0, 1000, 4), double, atol=2e-6)


def test_negative_seeds_are_twos_complement() -> None:
    """-1 and 2**64 - 1 have the same bits."""
    np.testing.assert_array_equal(words(-1, 0, 4, 4), words(2**64 - 1, 0, 4, 4))
    assert signed_seed(2**63) == -(2**63)


def test_normals_are_normal() -> None:
    """100,000 rows pass Kolmogorov-Smirnov in every column, and columns are uncorrelated."""
    z = normals(1, 0, 100_000, 4, np.float64)
    for column in z.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z.T) - np.eye(4)).max() < 0.015


def test_no_rows_have_the_right_shape() -> None:
    """A count of 0 gives empty arrays."""
    assert words(1, 0, 0, 5).shape == (0, 2, 4)
    assert normals(1, 0, 0, 5).shape == (0, 5)


@pytest.mark.parametrize(
    ("seed", "start", "count"), [(2**64, 0, 1), (0, -1, 1), (0, 0, -1), (0, 2**63 - 1, 1)]
)
def test_numbers_out_of_range_are_refused(seed: int, start: int, count: int) -> None:
    """Seeds have 64 bits, and rows are below 2**63 - 1."""
    with pytest.raises(InputError):
        normals(seed, start, count, 2)


def test_fresh_seeds_differ() -> None:
    """They come from the system and are below 2**63, so they have no sign."""
    seeds = {fresh_seed() for _ in range(100)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
