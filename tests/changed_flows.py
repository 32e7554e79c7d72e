"""Flows that are not what their spec builds, so that a checkpoint or a bundle would be another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.networks import Activation, Elementwise
from rnvp_deploy.scales import Centred, Scale
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import PermutationSpec

__all__ = ["CHANGES", "NOT_OF_THE_MODULES", "SMALL"]

SMALL = RNVPConfig(dim=2, couplings=2, hidden=(8,))


def net(flow: RNVP) -> nn.ModuleList:
    """The layers of the first coupling's network."""
    return flow.transforms[1].joint_net.layers  # type: ignore[return-value]


def overriding(name: str) -> Callable[[RNVP], RNVP]:
    """A flow of a subclass whose ``name`` is another function that returns the same."""

    def make(flow: RNVP) -> RNVP:
        original = getattr(RNVP, name)
        changed = lambda self, *given, **named: original(self, *given, **named)  # noqa: E731
        return type("Mine", (RNVP,), {name: changed})(flow.spec)

    return make


@dataclass(frozen=True)
class _Own(Scale):
    def __call__(self, u: Tensor) -> Tensor:
        return torch.tanh(u)


_SameName: Any = dataclass(frozen=True)(type("Tanh", (_Own,), {}))

CHANGES: dict[str, tuple[Callable[[RNVP], Any], str]] = {
    "weight_norm": (lambda f: nn.utils.parametrizations.weight_norm(net(f)[0]), "parametrization"),
    "spectral_norm": (lambda f: parametrizations.spectral_norm(net(f)[0]), "parametrization"),
    "pruned": (lambda f: prune.l1_unstructured(net(f)[0], "weight", 0.5), "forward pre hook"),
    "a hook": (lambda f: f.register_forward_hook(lambda *given: given[-1]), "the flow itself has"),
    "a hook inside": (lambda f: net(f)[0].register_forward_pre_hook(lambda *_: None), "pre hook"),
    "a hook of the state": (
        lambda f: f.register_state_dict_post_hook(
            lambda _, state, *__: state.update({"transforms.0.loc": torch.ones(2)})
        ),
        "gives other densities",
    ),
    "another module": (lambda f: f.add_module("extra", nn.Linear(1, 1)), "extra is not in"),
    "another activation": (lambda f: net(f).__setitem__(1, nn.Tanh()), "activation.Tanh"),
    "another of our activations": (
        lambda f: net(f).__setitem__(1, Elementwise(Activation("tanh"))),
        r"layers\.1 is not what its spec builds",
    ),
    "another function": (lambda f: setattr(net(f)[1], "function", torch.tanh), "function of"),
    "dropout": (lambda f: net(f).insert(1, nn.Dropout()), "Dropout"),
    "batch norm": (lambda f: net(f).insert(1, nn.BatchNorm1d(8)), "BatchNorm1d"),
    "a removed layer": (lambda f: net(f).pop(-1), r"layers\.2 is missing"),
    "without a bias": (lambda f: setattr(net(f)[0], "bias", None), "bias of its module"),
    "a wider weight": (
        lambda f: setattr(net(f)[0], "weight", nn.Parameter(torch.ones(8, 3))),
        "weight of its module",
    ),
    "a sparse weight": (
        lambda f: setattr(net(f)[0], "weight", nn.Parameter(torch.ones(8, 1).to_sparse())),
        "not an ordinary tensor",
    ),
    "reordered": (
        lambda f: setattr(f, "transforms", nn.ModuleList([f.transforms[i] for i in (0, 2, 1)])),
        "spec of its module",
    ),
    "fewer transforms": (lambda f: f.transforms.__delitem__(2), r"transforms\.2 is missing"),
    "a moved index": (lambda f: f.transforms[1].passive.add_(1), "passive of its module"),
    "another spec": (lambda f: setattr(f, "spec", RNVP(RNVPConfig(2)).spec), "transforms.1"),
    "a hidden method": (lambda f: setattr(f, "log_prob", f.log_base), "log_prob of the flow"),
    "half": (lambda f: f.half(), "is torch.float16; expected"),
    "bfloat16": (lambda f: f.bfloat16(), "is torch.bfloat16; expected"),
    "two dtypes": (lambda f: net(f).double(), "is torch.float64 and .* is torch.float32; expected"),
    "without values": (lambda f: f.to("meta"), "on the device meta"),
    "too few names": (lambda f: setattr(f, "columns", ("p",)), "expected 2 different ones"),
    "equal names": (lambda f: setattr(f, "columns", ("p", "p")), "expected 2 different ones"),
    "one text": (lambda f: setattr(f, "columns", "ab"), "expected 2 different ones"),
    "no names": (lambda f: setattr(f, "columns", None), "expected 2 different ones"),
    "needless names": (lambda f: setattr(f, "context_columns", ("c",)), "expected 0"),
    "a scale of the user": (lambda _: RNVP(RNVPConfig(2, scale=_Own())), "has a _Own of"),
    "a scale in a scale": (lambda _: RNVP(RNVPConfig(2, scale=Centred(_Own()))), "_Own of"),
    "a known name": (lambda _: RNVP(RNVPConfig(2, scale=_SameName())), "has a Tanh of"),
    "without weights": (
        lambda _: RNVP(FlowSpec(2, transforms=(PermutationSpec((1, 0)),))),
        "holds no weights",
    ),
    "quantised": (
        lambda f: torch.ao.quantization.quantize_dynamic(f, {nn.Linear}),
        "quantized.dynamic",
    ),
    "a traced flow": (
        lambda f: torch.jit.trace(f, torch.randn(3, 2), check_trace=False),
        "expected an RNVP",
    ),
    **{
        f"overrides {name}": (overriding(name), f"overrides {name},")
        for name in ("forward", "inverse", "log_prob", "log_base", "sample", "state_dict")
    },
}
"""Name → a function that changes a flow of SMALL in place or returns another, and the message."""

NOT_OF_THE_MODULES = (
    "a hook of the state",
    "a scale of the user",
    "a scale in a scale",
    "a known name",
    "without weights",
)
"""Those that only a checkpoint cannot hold."""
