"""The description of a checkpoint is compared with its weights before a flow is built.

A description of a few bytes can ask for layers of gigabytes, and a list that holds another list
many times can describe more than any memory holds. A flow that was saved describes no more values
than its pickle has bytes, and no more weights than the file has.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from rnvp_deploy.networks import Dense, Rescale, Residual, Steps
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import CouplingSpec, DiagonalAffineSpec, LinearSpec, TransformSpec

__all__ = ["check_plain", "check_recipe", "check_weights", "count_weights"]

MAX_DEPTH = 64
"""Containers inside one another; residual blocks may nest."""


def check_plain(value: Any, most: int) -> None:
    """Check that a description consists of at most ``most`` plain values.

    Raises:
        ValueError: it has more, is nested too deep, or holds something else, such as a tensor.
    """
    count, left = 0, [(value, 0)]
    while left:
        part, depth = left.pop()
        count += 1
        if count > most:
            raise ValueError("it describes more than the file holds")
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(part, dict):
            if not all(isinstance(key, str) for key in part):
                raise ValueError("a key of its description is not text")
            left += [(inner, depth + 1) for inner in part.values()]
        elif isinstance(part, list | tuple):
            if count + len(left) + len(part) > most:
                raise ValueError("it describes more than the file holds")
            left += [(inner, depth + 1) for inner in part]
        elif part is not None and not isinstance(part, str | int | float):
            raise ValueError(f"its description holds a {type(part).__name__}")


def check_weights(state: Any) -> int:
    """Check that ``state`` holds names and dense tensors whose numbers are all in the file.

    Returns:
        How many numbers they have.

    Raises:
        ValueError: it holds something else, or the weights are neither float32 nor float64.
    """
    if not isinstance(state, Mapping) or not state:
        raise ValueError("its state_dict holds no weights")
    stored, used, numbers = {}, 0, 0
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ValueError(f"its state_dict holds {name!a:.80}, which is not a tensor")
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise ValueError(f"its weight {name!a:.80} is not an ordinary tensor")
        if tensor.is_complex() or tensor.dtype in (torch.float16, torch.bfloat16):
            raise ValueError(f"its weight {name!a:.80} is {tensor.dtype}, expected float32 or 64")
        storage = tensor.untyped_storage()
        stored[storage.data_ptr()] = storage.nbytes()
        used += tensor.numel() * tensor.element_size()
        numbers += tensor.numel()
    if used > sum(stored.values()):
        raise ValueError("its weights are larger than the file")
    return numbers


def check_recipe(recipe: Mapping[str, Any], numbers: int) -> None:
    """Check the sizes in a recipe of version 1, from which transforms are made.

    Raises:
        ValueError: it asks for more couplings or a wider layer than there are numbers.
    """
    sizes = [recipe.get(name, 0) for name in ("dim", "context_dim", "couplings")]
    hidden = recipe.get("hidden", ())
    sizes += [len(hidden), *hidden] if isinstance(hidden, list | tuple) else [hidden]
    if any(not isinstance(size, int) or size > numbers for size in sizes):
        raise ValueError(f"its recipe asks for more than its {numbers:,} weights")


def count_weights(spec: FlowSpec) -> int:
    """The least number of weights that a flow of ``spec`` has."""
    of_context = 2 * spec.context_dim if spec.standardise_context else 0
    return of_context + sum(map(_of_transform, spec.transforms))


def _of_transform(transform: TransformSpec) -> int:
    match transform:
        case CouplingSpec():
            return sum(_of_steps(steps) for _, steps in transform.networks)
        case DiagonalAffineSpec(dim):
            return 2 * dim
        case LinearSpec(dim):
            return dim * dim
    return 0


def _of_steps(steps: Steps | Iterable[Any]) -> int:
    total = 0
    for step in steps:
        match step:
            case Dense(inputs, outputs):
                total += inputs * outputs + outputs
            case Rescale(width):
                total += 2 * width
            case Residual(body, width, gate_inputs):
                total += _of_steps(body) + gate_inputs * width
    return total
