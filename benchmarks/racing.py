"""Timing side by side: the contestants take turns, so that a slow minute is slow for all.

A round gives each contestant one turn, in an order that rotates. A turn calls it often enough to
last ``turn`` seconds, after a rest in which the threads of the one before stop spinning: they would
hold a core, and halve the speed of whoever comes next. Ratios are formed within a round, between
turns a moment apart, and only then summarised: their spread is what the machine's noise leaves.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Contestant", "Pace", "Ratio", "median", "race", "ratio"]

REST = 0.03  # seconds


@dataclass(frozen=True)
class Contestant:
    """``call`` is timed; ``ready`` is not."""

    call: Callable[[], Any]
    ready: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class Pace:
    """How many rounds, and how long a turn lasts at least, in seconds."""

    rounds: int = 11
    turn: float = 0.1


@dataclass(frozen=True)
class Ratio:
    """The median of the rounds' ratios, and their 10th and 90th percentiles."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def race(contestants: Mapping[str, Contestant], pace: Pace) -> dict[str, list[float]]:
    """Seconds a call, one number for each round, of each contestant."""
    calls = {name: _calls_a_turn(contestant, pace) for name, contestant in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(pace.rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            seconds[name].append(_turn(contestants[name], calls[name]))
    return seconds


def median(seconds: list[float]) -> float:
    return float(np.median(seconds))


def ratio(slower: list[float], faster: list[float]) -> Ratio:
    """slower / faster, round by round."""
    ratios = np.array(slower) / np.array(faster)
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    return Ratio(float(middle), float(low), float(high))


def _calls_a_turn(contestant: Contestant, pace: Pace) -> int:
    contestant.ready()
    contestant.call()  # compiles, allocates
    contestant.call()
    calls = 1
    while (spent := _turn(contestant, calls) * calls) < pace.turn / 2 and calls < 1 << 20:
        calls *= 2
    return max(1, round(calls * pace.turn / spent))


def _turn(contestant: Contestant, calls: int) -> float:
    contestant.ready()
    time.sleep(REST)
    if calls > 1:
        contestant.call()  # brings its weights back into the cache
    began = time.perf_counter()
    for _ in range(calls):
        contestant.call()
    return (time.perf_counter() - began) / calls
