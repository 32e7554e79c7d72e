"""The results of a run of the benchmarks, as one value that is written to and read from JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "Cell", "Results"]

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Cell:
    """One race: every contestant doing one thing to so many rows, seconds a call by rounds.

    A contestant is a competitor and its number of threads; ``floor`` and ``inverse alone`` run
    beside them. All ran in the same rounds, so any two may be divided.
    """

    flow: str
    function: str
    rows: int
    seconds: dict[str, list[float]]


@dataclass
class Results:
    """A whole run."""

    machine: dict[str, Any]
    cells: list[Cell] = field(default_factory=list)
    starts: dict[str, Any] = field(default_factory=dict)  # flow → competitor → rounds
    installed: dict[str, int] = field(default_factory=dict)  # competitor → bytes
    exports: dict[str, dict[str, float]] = field(default_factory=dict)  # flow → form → seconds
    nodes: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    flops: dict[str, int] = field(default_factory=dict)  # flow → operations a row
    scoring: list[dict[str, float]] = field(default_factory=list)  # see scoring.py

    def find(self, flow: str, function: str, rows: int) -> Cell | None:
        return next(self.where(flow=flow, function=function, rows=rows), None)

    def where(self, **fields: Any) -> Iterator[Cell]:
        """The cells that have these values."""
        for cell in self.cells:
            if all(getattr(cell, name) == value for name, value in fields.items()):
                yield cell

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(_rounded(asdict(self)), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Results":
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**found, "cells": [Cell(**cell) for cell in found["cells"]]})


def _rounded(value: Any) -> Any:
    """Times to four figures: more is noise."""
    match value:
        case float():
            return float(f"{value:.4g}")
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list():
            return [_rounded(item) for item in value]
    return value
