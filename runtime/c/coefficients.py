"""The polynomials of `rnvp_elementary.h`, fitted with the Remez exchange algorithm.

Each polynomial P(t) minimises the largest ``|weight(t) (P(t) - f(t))|`` on an interval. The weight
turns the error of P into the relative error of the elementary function that P is a part of.
Run ``python coefficients.py`` (it needs mpmath) to print the tables as C.

References:
    E. Remez: Sur la determination des polynomes d'approximation de degre donnee, 1934.
    W. J. Cody, W. Waite: Software Manual for the Elementary Functions, 1980.
    P. T. P. Tang: Table-driven implementation of the logarithm function, 1990 (log by s = f/(2+f)).
"""

from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp

mp.mp.dps = 60

Function = Callable[[mp.mpf], mp.mpf]


def remez(
    f: Function, weight: Function, low: mp.mpf, high: mp.mpf, degree: int
) -> tuple[list[mp.mpf], mp.mpf]:
    """Coefficients, lowest power first, and the largest weighted error."""
    n = degree + 2
    middle, half = (low + high) / 2, (high - low) / 2
    points = [middle - half * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]
    grid = [middle - half * mp.cos(mp.pi * i / (24 * n)) for i in range(24 * n + 1)]
    values = [(t, f(t), weight(t)) for t in grid]
    for _ in range(30):
        matrix = mp.matrix(n, n)
        right = mp.matrix(n, 1)
        for row, t in enumerate(points):
            for k in range(degree + 1):
                matrix[row, k] = t**k
            matrix[row, n - 1] = (-1) ** row / weight(t)
            right[row] = f(t)
        solution = mp.lu_solve(matrix, right)
        coefficients, level = list(solution[: degree + 1]), abs(solution[n - 1])
        errors = [w * (mp.polyval(coefficients[::-1], t) - v) for t, v, w in values]
        points, worst = _extrema(grid, errors, n), max(map(abs, errors))
        if worst <= level * mp.mpf("1.01"):
            break
    return coefficients, worst


def _extrema(grid: list[mp.mpf], errors: list[mp.mpf], n: int) -> list[mp.mpf]:
    """The n points of alternating sign where the error is largest."""
    found: list[tuple[mp.mpf, mp.mpf]] = []
    for t, e in zip(grid, errors, strict=True):
        if found and (found[-1][1] > 0) == (e > 0):
            if abs(e) > abs(found[-1][1]):
                found[-1] = (t, e)
        else:
            found.append((t, e))
    while len(found) > n:
        found.pop(0 if abs(found[0][1]) < abs(found[-1][1]) else -1)
    return [t for t, _ in found]


def near_zero(exact: Function, series: list[mp.mpf]) -> Function:
    """``exact``, or its power series where ``exact`` cancels."""
    return lambda t: mp.polyval(series[::-1], t) if abs(t) < mp.mpf("1e-4") else exact(t)


def _exp(r: mp.mpf) -> mp.mpf:
    return (mp.exp(r) - 1 - r) / r**2


def _log(z: mp.mpf) -> mp.mpf:
    s = mp.sqrt(z)
    return (mp.log((1 + s) / (1 - s)) - 2 * s) / (s * z)


def _sin(z: mp.mpf) -> mp.mpf:
    x = mp.sqrt(z)
    return (mp.sin(x) - x) / x**3


def _cos(z: mp.mpf) -> mp.mpf:
    return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def _atan(z: mp.mpf) -> mp.mpf:
    x = mp.sqrt(z)
    return (mp.atan(x) - x) / x**3


def _erf(z: mp.mpf) -> mp.mpf:
    x = mp.sqrt(z)
    return mp.erf(x) / x - 1


TERMS = 16
F = mp.factorial
SERIES = {
    "EXP": [1 / F(k + 2) for k in range(TERMS)],
    "LOG": [mp.mpf(2) / (2 * k + 3) for k in range(TERMS)],
    "SIN": [(-1) ** (k + 1) / F(2 * k + 3) for k in range(TERMS)],
    "COS": [(-1) ** k / F(2 * k + 4) for k in range(TERMS)],
    "ATAN": [mp.mpf((-1) ** (k + 1)) / (2 * k + 3) for k in range(TERMS)],
    "ERF": [
        2 / mp.sqrt(mp.pi) * (-1) ** k / (F(k) * (2 * k + 1)) - (1 if k == 0 else 0)
        for k in range(TERMS)
    ],
}
HALF_LOG_2, QUARTER_PI, EIGHTH = mp.log(2) / 2, mp.pi / 4, mp.tan(mp.pi / 8)
SLACK = mp.mpf("1.0001")
LEAST = mp.mpf("1e-9")  # a weight of 0 cannot be divided by


@dataclass(frozen=True)
class Fit:
    """A polynomial to find; a degree of 0: not in this precision."""

    name: str
    f: Function
    weight: Function
    low: mp.mpf
    high: mp.mpf
    single_degree: int
    double_degree: int


def _log_erfc(t: mp.mpf) -> mp.mpf:
    return mp.log(mp.erfc(t + 2))


def _erfc(t: mp.mpf) -> mp.mpf:
    return mp.erfc(t + 2)


def _near_zero(name: str, exact: Function) -> Function:
    return near_zero(exact, SERIES[name])


FITS = [
    Fit(
        "EXP",
        _near_zero("EXP", _exp),
        lambda r: abs(r) + LEAST,
        -HALF_LOG_2 * SLACK,
        HALF_LOG_2 * SLACK,
        5,
        10,
    ),
    Fit("LOG", _near_zero("LOG", _log), lambda z: z + LEAST, mp.mpf(0), SLACK / 9, 4, 9),
    Fit(
        "SIN",
        _near_zero("SIN", _sin),
        lambda z: z + LEAST,
        mp.mpf(0),
        QUARTER_PI**2 * SLACK,
        3,
        6,
    ),
    Fit(
        "COS",
        _near_zero("COS", _cos),
        lambda z: z**2 + LEAST,
        mp.mpf(0),
        QUARTER_PI**2 * SLACK,
        2,
        5,
    ),
    Fit(
        "ATAN", _near_zero("ATAN", _atan), lambda z: z + LEAST, mp.mpf(0), EIGHTH**2 * SLACK, 4, 10
    ),
    Fit("ERF", _near_zero("ERF", _erf), lambda z: mp.mpf(1), mp.mpf(0), mp.mpf(1), 6, 12),
    # log erfc(a) around a = 2, to where erf rounds to 1.
    Fit("ERFC", _log_erfc, _erfc, mp.mpf(-1), mp.mpf(2), 6, 0),
    Fit("ERFC", _log_erfc, _erfc, mp.mpf(-1), mp.mpf(4), 0, 18),
]


HEADER = """\
/* Polynomial coefficients, lowest power first, printed by coefficients.py; see there for each P. */
#ifndef RNVP_COEFFICIENTS_H
#define RNVP_COEFFICIENTS_H
"""


def table(name: str, coefficients: list[mp.mpf], double: bool) -> str:
    """The coefficients as a C macro, lowest power first."""
    digits, suffix, row = (19, "", 4) if double else (10, "f", 6)
    terms = [mp.nstr(c, digits, min_fixed=1, max_fixed=0) + suffix for c in coefficients]
    lines = [", ".join(terms[i : i + row]) for i in range(0, len(terms), row)]
    return f"#define {name} \\\n    " + ", \\\n    ".join(lines)


if __name__ == "__main__":
    print(HEADER)
    for double in (False, True):
        for fit in FITS:
            degree = fit.double_degree if double else fit.single_degree
            if degree:
                coefficients, error = remez(fit.f, fit.weight, fit.low, fit.high, degree)
                print(f"/* largest weighted error: 2^{float(mp.log(error, 2)):.1f} */")
                print(table(f"{fit.name}_TERMS_F{64 if double else 32}", coefficients, double))
    print("\n#endif")
