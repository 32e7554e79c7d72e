"""Python numbers in a float64 graph.

The ONNX exporter writes a Python number as float32, even where it multiplies a float64.
"""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["ScalarsAsTensors"]


class ScalarsAsTensors(TorchFunctionMode):
    """In this context, a Python number beside a float64 tensor becomes a float64 tensor."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        double = any(isinstance(arg, Tensor) and arg.dtype == torch.float64 for arg in args)
        if double and any(isinstance(arg, float) for arg in args):
            args = tuple(
                torch.tensor(arg, dtype=torch.float64) if isinstance(arg, float) else arg
                for arg in args
            )
        return func(*args, **(kwargs or {}))
