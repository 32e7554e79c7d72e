"""A model is refused before it is read if no conversion could keep its weights or its mode."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from rnvp_deploy.conversion.refusal import refusal, type_names

__all__ = ["refuse_unreadable", "weights_dtype"]


def refuse_unreadable(model: nn.Module) -> None:
    """Refuse a model with a part that cannot be read, by its path.

    Raises:
        ConversionError: a part is in training mode or is a TorchScript module; weights have no
            values yet, several dtypes or an unsupported one; a weight is NaN or infinite.
    """
    for name, module in model.named_modules():
        if module.training:
            raise refusal(name, "it is in training mode; call eval() on the model first")
        if "torch.ScriptModule" in type_names(module):
            raise refusal(
                name, "a TorchScript module has no layers to read; give what it was made of"
            )
    for name, parameter in model.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            raise refusal(name, "it has no shape yet; run the model once before it is converted")
        if parameter.is_meta:
            raise refusal(name, "it is on the meta device and has no values; load the weights")
    weights_dtype(model)
    _refuse_nan(model)


def weights_dtype(model: nn.Module) -> torch.dtype:
    """float32 or float64: the dtype of the model's weights."""
    found: dict[torch.dtype, str] = {}
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() or parameter.is_complex():
            found.setdefault(parameter.dtype, name)
    for dtype, name in found.items():
        if dtype not in (torch.float32, torch.float64):
            raise refusal(name, f"{dtype} weights are not converted; use float32: model.float()")
    if len(found) > 1:
        raise refusal(
            list(found.values())[1], "weights of several dtypes; choose one: model.float()"
        )
    return next(iter(found), torch.get_default_dtype())


@torch.no_grad()
def _refuse_nan(model: nn.Module) -> None:
    """Refuse weights that are NaN or infinite. A buffer may be infinite, as a bound is."""
    for name, parameter in model.named_parameters():
        _refuse_where(~torch.isfinite(parameter), name, "NaN or infinite")
    for name, buffer in model.named_buffers():
        _refuse_where(torch.isnan(buffer), name, "NaN")


def _refuse_where(wrong: Tensor, name: str, what: str) -> None:
    if count := int(wrong.sum()):
        raise refusal(name, f"{count} of its {wrong.numel()} numbers are {what}")
