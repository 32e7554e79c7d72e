"""Which flows can be exported in which dtype, and why others are refused.

    python -m tests.exporters.precision_matrix --write docs/parity.md --keep verdicts.json

The cells are flows of different widths, scale functions and data. Each is exported with all its
proofs, without being published. That takes minutes for a wide flow, so a run that was stopped
continues from the verdicts that it kept.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

import rnvp_exporters
from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.scales import SCALES, Scale, Tanh
from rnvp_exporters import ExportError
from tests.pages import write_measured

__all__ = ["Cell", "cells", "verdict"]

DATA = {
    "centred": (0.0, 1.0),
    "offset 1e4": (1e4, 1.0),
    "offset 1e7": (1e7, 1.0),
    "offset 1.7e9": (1.7e9, 1.0),
    "unit 1e-30": (0.0, 1e-30),
    "unit 1e25": (0.0, 1e25),
}
WIDTHS = (1, 2, 8, 43, 256, 1024)
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Cell:
    """One flow and the dtype that it is exported in."""

    dim: int
    scale: Scale
    data: str
    dtype: str

    def flow(self) -> RNVP:
        """A float64 flow with lively weights, standardised for the data."""
        config = RNVPConfig(
            dim=self.dim,
            context_dim=1 if self.dim == 1 else 0,
            hidden=(16, 16),
            couplings=4,
            scale=self.scale,
        )
        draw = torch.Generator().manual_seed(0)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=draw, dtype=torch.float64)

        with torch.random.fork_rng():
            torch.manual_seed(0)
            flow = RNVP(config).double()
        if self.data == "heavy tails":
            x = normal(500, self.dim) / normal(500, self.dim)  # Cauchy
        else:
            loc, scale = DATA[self.data]
            x = loc + scale * normal(500, self.dim)
        flow.initialise(x, normal(500, 1) if config.context_dim else None)
        return flow.eval().requires_grad_(False)


def cells(widths: tuple[int, ...] = WIDTHS) -> Iterator[Cell]:
    """Widths and data with the default scale; then each scale function at d 8."""
    for dtype in DTYPES:
        for dim in widths:
            for data in (*DATA, "heavy tails"):
                yield Cell(dim, Tanh(), data, dtype)
        for kind in SCALES.values():
            for data in ("centred", "heavy tails"):
                yield Cell(8, kind(), data, dtype)


def verdict(cell: Cell, folder: Path) -> str:
    """``passes``, or the sentence with which the export is refused."""
    try:
        rnvp_exporters.export(
            cell.flow(), folder / "model.rnvp", formats=("onnx",), dtype=cell.dtype, force=True
        )
    except ExportError as error:
        return f"refused: {error}"
    return "passes"


def _verdict_alone(cell: Cell) -> str:
    """Run `verdict` with one thread and a temporary folder."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return verdict(cell, Path(folder))


def main() -> None:
    """Print or write the tables."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="the page whose table is replaced")
    parser.add_argument("--widths", type=int, nargs="*", default=WIDTHS)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="a JSON file of verdicts, read and written")
    options = parser.parse_args()
    kept = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    tried = list(cells(tuple(options.widths)))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=spawn) as pool:
        running = {pool.submit(_verdict_alone, c): c for c in tried if str(c) not in kept}
        for done in as_completed(running):
            kept[str(running[done])] = done.result()
            print(running[done], done.result(), flush=True)
            if options.keep:
                options.keep.write_text(json.dumps(kept, indent=1))
    verdicts = {cell: kept[str(cell)] for cell in tried}
    if options.write is not None:
        text = _tables(verdicts, tuple(options.widths))
        write_measured(options.write, "tests.exporters.precision_matrix", text)


def _tables(verdicts: dict[Cell, str], widths: tuple[int, ...]) -> str:
    """Two tables whose cells are "passes" or the number of a sentence below them."""
    sentences: list[str] = []

    def shown(*found: str) -> str:
        marks = []
        for text in found:
            if text == "passes":
                marks.append("passes")
                continue
            kind = text.partition(". Train")[0]
            if kind not in sentences:
                sentences.append(kind)
            marks.append(f"refused ({sentences.index(kind) + 1})")
        return " / ".join(dict.fromkeys(marks)) if len(set(marks)) == 1 else " / ".join(marks)

    lines = [
        f"Each cell is float32 / float64, or one verdict for both. {datetime.now(UTC):%Y-%m-%d}.",
        "",
        f"| data | {' | '.join(f'd {dim}' for dim in widths)} |",
        "|---" * (len(widths) + 1) + "|",
    ]
    for data in (*DATA, "heavy tails"):
        row = [shown(*(verdicts[Cell(d, Tanh(), data, t)] for t in DTYPES)) for d in widths]
        lines.append(f"| {data} | {' | '.join(row)} |")
    lines += ["", "| scale function, d 8 | centred | heavy tails |", "|---|---|---|"]
    for name, kind in SCALES.items():
        row = [
            shown(*(verdicts[Cell(8, kind(), data, t)] for t in DTYPES))
            for data in ("centred", "heavy tails")
        ]
        lines.append(f"| {name} | {' | '.join(row)} |")
    lines += [""] + [f"{i}. {text}" for i, text in enumerate(sentences, start=1)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
