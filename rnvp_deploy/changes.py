"""Whether a flow is what its ``spec`` builds.

A checkpoint stores the ``spec`` and the weights. What was changed in the modules since they were
built is in neither: a layer of another class, a hook, a method that a subclass overrides.
"""

import inspect
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rnvp_deploy.errors import ConfigError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.wrappers import WRAPPERS

__all__ = ["find_change", "find_unusable_dtype", "same_outputs", "unwrapped"]

_ROWS = 8
_TOLERANCE = 1e-6  # relative, in float64: two runs of equal modules may add in another order

_OWN = frozenset(("__doc__", "__init__", "__module__", "__repr__", "__str__", "extra_repr"))
"""Names that a subclass may define, because no number depends on them."""

_NOT_COMPARED = {*vars(nn.Module()), "columns", "context_columns", "_compiled_call_impl"}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_RESTORE = "restore it, or describe the flow by another FlowSpec"


def unwrapped(flow: Any) -> Any:
    """The flow inside ``torch.compile``, ``DataParallel`` and their like; else ``flow`` itself."""
    while isinstance(flow, nn.Module) and not isinstance(flow, RNVP):
        kinds = (f"{k.__module__.partition('.')[0]}.{k.__name__}" for k in type(flow).__mro__)
        inner = next((WRAPPERS[kind] for kind in kinds if kind in WRAPPERS), None)
        if inner is None:
            break
        flow = getattr(flow, inner)
    return flow


def find_change(flow: Any) -> str | None:
    """The first way in which ``flow`` is not what ``RNVP(flow.spec)`` builds; None if it is.

    Returns:
        One line that says what was found, what was expected and what to do.
    """
    if not isinstance(flow, RNVP):
        return f"it is of class {type(flow).__name__}; expected an RNVP"
    for name in dir(RNVP):
        if name not in _OWN and inspect.getattr_static(type(flow), name) is not (
            inspect.getattr_static(RNVP, name)
        ):
            return (
                f"its class {type(flow).__name__} overrides {name}, and only RNVP's own is kept: "
                "copy its weights to an RNVP(flow.spec)"
            )
    if (unusable := find_unusable_dtype(flow)) is not None:
        return unusable
    try:
        with torch.random.fork_rng(devices=[]):  # its initial weights are not used
            names = [() if one is None else one for one in (flow.columns, flow.context_columns)]
            built = RNVP(flow.spec, *names).to(flow.dtype)
    except ConfigError as error:
        return f"{error}: set flow.columns and flow.context_columns"
    return _changed_module(flow, built)


def find_unusable_dtype(flow: RNVP) -> str | None:
    """Why the dtypes of a flow's weights cannot be used, in one line; None if they can."""
    tensors = {**dict(flow.named_parameters()), **dict(flow.named_buffers())}
    dtypes: dict[torch.dtype, str] = {}
    for name, tensor in tensors.items():
        if tensor.is_meta:
            return f"its {name} has no values: it is on the device meta; load its weights first"
        if tensor.layout != torch.strided or tensor.is_quantized:
            return f"its {name} is not an ordinary tensor: make it one, as by to_dense()"
        if tensor.is_floating_point() or tensor.is_complex():
            dtypes.setdefault(tensor.dtype, name)
    other = [dtype for dtype in dtypes if dtype not in (torch.float32, torch.float64)]
    if not other and len(dtypes) < 2:
        return None
    found = " and ".join(f"{dtypes[d]!s} is {d}" for d in (other[:1] or dtypes))
    return f"its {found}; expected all float32 or all float64: call flow.float() or flow.double()"


@torch.no_grad()
def same_outputs(flow: RNVP, other: RNVP) -> bool:
    """Whether both flows give the same z and densities for a few rows, computed in float64."""
    generator = torch.Generator().manual_seed(0)
    x, context = (
        torch.randn(_ROWS, width, generator=generator, dtype=torch.float64, device="cpu")
        for width in (flow.dim, flow.context_dim)
    )
    found, expected = (
        torch.func.functional_call(
            one, _in_float64(one), (x, context if flow.context_dim else None)
        )
        for one in (flow, other)
    )
    return all(
        torch.allclose(a, b, _TOLERANCE, _TOLERANCE, equal_nan=True)
        for a, b in zip(found, expected, strict=True)
    )


def _in_float64(flow: RNVP) -> dict[str, Tensor]:
    tensors = (*flow.named_parameters(), *flow.named_buffers())
    return {
        name: tensor.detach().to("cpu", torch.float64 if tensor.is_floating_point() else None)
        for name, tensor in tensors
    }


def _changed_module(flow: RNVP, built: RNVP) -> str | None:
    found, expected = (dict(one.named_modules(remove_duplicate=False)) for one in (flow, built))
    for name, module in found.items():
        label = f"its module {name}" if name else "the flow itself"
        if added := _added(module):
            return (
                f"{label} has a {added}: remove it (remove_parametrizations, remove_weight_norm or "
                "remove of torch.nn.utils; the handle of your own hook)"
            )
        if name not in expected:
            return f"{label} is not in its spec: remove it, or describe it in the spec"
        if name and type(module) is not type(expected[name]):
            kinds = [type(one) for one in (module, expected[name])]
            one, other = (f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
            return f"{label} is of class {one}, and its spec builds {other}: {_RESTORE}"
        if part := _changed_part(module, expected[name]):
            return f"{part} of {label} is not what its spec builds: {_RESTORE}"
    if missing := next((name for name in expected if name not in found), None):
        return f"its module {missing} is missing: {_RESTORE}"
    return None if list(found) == list(expected) else f"its modules were reordered: {_RESTORE}"


def _added(module: nn.Module) -> str | None:
    """What changes the outputs of a module, and is not in its class."""
    if hook := next((hook for hook in _HOOKS if getattr(module, hook)), None):
        return hook.strip("_").removesuffix("s").replace("_", " ")
    return "parametrization" if "parametrizations" in module._modules else None


def _changed_part(module: nn.Module, built: nn.Module) -> str | None:
    """The name of an attribute, weight or buffer that is not as in ``built``."""
    of_module, of_built = vars(module), vars(built)
    for name in sorted(of_module.keys() - _NOT_COMPARED):
        if name in of_built:
            if not _same(of_module[name], of_built[name]):
                return name
        elif hasattr(type(module), name):  # it hides a method
            return name
    if missing := of_built.keys() - of_module.keys() - _NOT_COMPARED:
        return min(missing)
    for kind in ("_parameters", "_buffers"):
        if other_names := of_module[kind].keys() ^ of_built[kind].keys():
            return str(min(other_names))
        for name, tensor in of_module[kind].items():
            other = of_built[kind][name]
            if getattr(tensor, "shape", None) != getattr(other, "shape", None):
                return str(name)
    for name in module._non_persistent_buffers_set | built._non_persistent_buffers_set:
        if not torch.allclose(of_module["_buffers"][name].cpu(), of_built["_buffers"][name].cpu()):
            return name
    return None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, partial) and isinstance(other, partial):
        return (one.func, one.args, one.keywords) == (other.func, other.args, other.keywords)
    return type(one) is type(other) and bool(one == other)
