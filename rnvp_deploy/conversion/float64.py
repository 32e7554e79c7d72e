"""Another library's model, copied and run in float64 throughout."""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from rnvp_deploy.conversion.refusal import type_names
from rnvp_deploy.wrappers import WRAPPERS

__all__ = ["float64_copy", "in_float64"]


class _WidenArguments(TorchFunctionMode):
    """Every float32 argument of a torch function is widened to float64.

    Libraries keep constants (masks, initial log-dets, global base distributions) that
    ``model.double()`` does not reach.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return func(*_widen(args), **_widen(kwargs or {}))


def _widen(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.double()
    if type(value) in (list, tuple):
        return type(value)(_widen(part) for part in value)
    if type(value) is dict:
        return {key: _widen(part) for key, part in value.items()}
    return value


@contextmanager
def in_float64() -> Iterator[None]:
    """Run another library's code in float64, without gradients and without its warnings.

    Do not build modules inside: an in-place write to a float32 tensor would write to a copy.
    """
    with warnings.catch_warnings(), torch.no_grad(), _WidenArguments():
        warnings.simplefilter("ignore")
        yield


def float64_copy(model: nn.Module) -> nn.Module:
    """A copy in float64, on the CPU and in eval mode, without what earlier calls have cached."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            # A cached tensor may belong to a graph of gradients, which deepcopy refuses to copy.
            for tensor in (value, *getattr(value, "__dict__", {}).values()):
                if isinstance(tensor, Tensor) and not tensor.is_leaf:
                    memo[id(tensor)] = tensor.detach().clone()
    copied = copy.deepcopy(model, memo)
    # train() and eval() clear what some libraries cache in eval mode.
    copied = nn.Module.to(copied, device="cpu", dtype=torch.float64).train().eval()
    copied.requires_grad_(False)
    _remove_wrappers(copied)
    for module in copied.modules():
        for hook in module._forward_pre_hooks.values():
            # Weight norm, spectral norm and pruning compute a layer's weight when it is called.
            if type(hook).__module__.startswith("torch.nn.utils."):
                hook(module, None)
    return copied


def _remove_wrappers(model: nn.Module) -> None:
    """Replace each wrapper among the parts of ``model`` by what it wraps."""
    for module in list(model.modules()):
        for name, child in module._modules.items():
            while child is not None and (kind := next(_wrapper_kinds(child), None)):
                child = getattr(child, WRAPPERS[kind])
                module._modules[name] = child


def _wrapper_kinds(module: nn.Module) -> Iterator[str]:
    return (kind for kind in type_names(module) if kind in WRAPPERS)
