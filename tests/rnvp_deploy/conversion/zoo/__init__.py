"""Models of every supported library, made by its own constructors.

Each module here is one library. ``SUPPORTED`` and ``REFUSED`` map what a row of the table in
docs/conversion.md says to a model; adding an entry adds its tests and its row. ``LIBRARY``
has the functions by which the library itself computes z, log_prob and the inverse.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tests.flows import noise, perturb

Model = Any
Maker = Callable[[], Model]


@dataclass(frozen=True)
class Library:
    """A library, its converter, and its own way of evaluating a model in x (n, d), c (n, k)."""

    name: str
    version: str
    converter: str  # name in rnvp_deploy
    log_prob: Callable[[Model, Tensor, Tensor | None], Tensor]
    noise: Callable[[Model, Tensor, Tensor | None], Tensor]  # standard normal, if well trained
    data: Callable[[Model, Tensor, Tensor | None], Tensor]  # its inverse
    supported: dict[str, Maker]
    refused: dict[str, Maker]
    trainable: Maker  # a flow in 2 dimensions
    loss: Callable[[Model, Tensor], Tensor]


@contextmanager
def quietly() -> Iterator[None]:
    """Run code of a library without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


LIVELINESS = 1.0
"""At 1, layers compress some directions by e^10, which float32 cannot invert."""


def lively(model: nn.Module, amount: float = 0.15, seed: int = 0) -> Any:
    """``model`` with weights as after training: none is 0 or 1, and statistics are random."""
    generator = torch.Generator().manual_seed(seed)
    trained = (parameter for parameter in model.parameters() if parameter.requires_grad)
    perturb(trained, LIVELINESS * amount, generator)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            match name.rpartition(".")[2]:
                case "running_mean":
                    buffer.copy_(0.3 * noise(buffer, generator))
                case "running_var":
                    buffer.copy_(0.5 + noise(buffer, generator).abs())
                case "initialized" | "is_initialized" | "data_dep_init_done":
                    buffer.fill_(1)
    return model.eval()
