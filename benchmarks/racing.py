"""Timing side by side: the contestants take turns, so that a slow minute affects all of them.

A round gives each contestant one turn, in an order that rotates. A turn lasts a number of calls,
after a rest in which the threads of the one before stop spinning: they would use a core, and halve
the speed of the next contestant. Ratios are formed within a round, between turns a moment apart,
and only then summarised: their spread shows the noise of the machine.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["Calls", "Contestant", "Pace", "Ratio", "median", "race", "ratio"]

REST = 0.03  # seconds


class Contestant(Protocol):
    """A function that can take turns with others."""

    def prepare(self, seconds: float) -> None:
        """Warm up, and settle how many calls make a turn of ``seconds``."""

    def turn(self) -> float:
        """Seconds a call, over one turn."""


class Calls:
    """A function, called in this process.

    Args:
        call: the function.
        clock: seconds; of the processor where a call uses one thread and others use the machine.
    """

    def __init__(
        self, call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._call, self._clock, self._calls = call, clock, 1

    def prepare(self, seconds: float) -> None:
        self._call()  # compiles, allocates
        self._call()
        self._calls = 1
        while (spent := self.turn() * self._calls) < seconds / 2 and self._calls < 1 << 20:
            self._calls *= 2
        self._calls = max(1, round(self._calls * seconds / spent))

    def turn(self) -> float:
        time.sleep(REST)
        if self._calls > 1:
            self._call()  # brings its weights back into the cache
        began = self._clock()
        for _ in range(self._calls):
            self._call()
        return (self._clock() - began) / self._calls


@dataclass(frozen=True)
class Pace:
    """The number of rounds, and the least length of a turn in seconds."""

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
    for contestant in contestants.values():
        contestant.prepare(pace.turn)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(pace.rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            seconds[name].append(contestants[name].turn())
    return seconds


def median(seconds: list[float]) -> float:
    """The median, in seconds."""
    return float(np.median(seconds))


def ratio(slower: list[float], faster: list[float]) -> Ratio:
    """slower / faster, round by round."""
    ratios = np.array(slower) / np.array(faster)
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    return Ratio(float(middle), float(low), float(high))
