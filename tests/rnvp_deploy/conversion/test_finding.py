"""The converter finds a flow in wrappers, trainers, lists and modules, if nothing else is lost."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import rnvp_deploy
from rnvp_deploy.conversion.finding import find_flow
from rnvp_deploy.errors import ConversionError
from tests.rnvp_deploy.conversion.zoo import lively, nflows, zuko
from tests.rnvp_deploy.conversion.zoo.nessai import real_nvp

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


def model() -> Any:
    return lively(nflows.SimpleRealNVP(3, 8, 2, 1))


def with_context() -> Any:
    net = nflows.residual(context_features=2)
    return lively(nflows.flow(nflows.coupling(net=net)))


class Holder(nn.Module):
    """A module that a user wrote. Its parts are given by name."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.eval()


class Scores(Holder):
    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Any:
        return self.net.log_prob(x, context)


class Scales(Holder):
    def log_prob(self, x: Tensor) -> Any:
        return self.net.log_prob(self.scaler(x))


class TakesTheLogarithm(Holder):
    """A module that transforms x without weights, and whose log_prob lacks the Jacobian."""

    def log_prob(self, x: Tensor) -> Any:
        return self.net.log_prob(torch.asinh(x))


class Embeds(Holder):
    def log_prob(self, x: Tensor, context: Tensor) -> Any:
        return self.net.log_prob(x, self.embedding(context))


class Loss(Holder):
    def forward(self, x: Tensor) -> Any:
        return -self.net.log_prob(x).mean()


class Scaler:
    """A plain object with arrays, as the scalers of scikit-learn are."""

    def __init__(self) -> None:
        self.mean_ = np.ones(3)


class Trainer:
    """An object that is not a module. Its optimizer and its records are not parts of the model."""

    def __init__(self, net: Any, **parts: Any) -> None:
        self.net = net
        self.optimizer = torch.optim.Adam(net.parameters())
        self.losses = [1.0, 0.5]
        vars(self).update(parts)


class FlowModel:
    """A replacement for the FlowModel of nessai."""

    def __init__(self, model: Any) -> None:
        self.model = model


FlowModel.__module__ = "nessai.flowmodel"


def wrapped_inside() -> Any:
    """A flow with DataParallel around a layer and torch.compile around a network."""
    flow = model()
    layers = flow._transform._transforms
    layers[0] = nn.DataParallel(layers[0])
    layers[1].transform_net = torch.compile(layers[1].transform_net)
    return flow.eval()


def with_optimizer() -> tuple[Any, torch.optim.Optimizer]:
    flow = model()
    return flow, torch.optim.Adam(flow.parameters())


FOUND: dict[str, tuple[Callable[[], Any], str]] = {
    "DataParallel": (lambda: nn.DataParallel(model()).eval(), "module"),
    "torch.compile": (lambda: torch.compile(model()), "_orig_mod"),
    "torch.compile of DataParallel": (
        lambda: torch.compile(nn.DataParallel(model()).eval()),
        "_orig_mod.module",
    ),
    "AveragedModel": (lambda: AveragedModel(model()).eval(), "module"),
    "wrappers inside": (wrapped_inside, ""),
    "list": (lambda: [model()], "0"),
    "tuple with its optimizer": (with_optimizer, "0"),
    "dict of a training": (lambda: {"epoch": 3, "flow": model()}, "flow"),
    "module": (lambda: Holder(flow=model()), "flow"),
    "module, with a loss": (lambda: Holder(flow=model(), loss=nn.MSELoss()), "flow"),
    "module in a module": (lambda: Holder(model=Holder(net=model())), "model.net"),
    "DataParallel in a module": (
        lambda: Holder(net=nn.DataParallel(model())).eval(),
        "net.module",
    ),
    "module with two names for it": (
        lambda: (lambda flow: Holder(net=flow, best=flow))(model()),
        "net",
    ),
    "module whose log_prob is the flow's": (lambda: Scores(net=model()), "net"),
    "module whose log_prob takes a context": (lambda: Scores(net=with_context()), "net"),
    "module that computes the loss": (lambda: Loss(net=model()), "net"),
    "trainer": (lambda: Trainer(model()), "net"),
    "nessai's FlowModel": (lambda: FlowModel(real_nvp()()), "model"),
    "nessai's FlowModel in a list": (lambda: [FlowModel(real_nvp()())], "0.model"),
}


@pytest.mark.parametrize("name", FOUND)
def test_found_and_converted(name: str) -> None:
    """A flow in a wrapper, a container, a module or a trainer is found and converted."""
    make, path = FOUND[name]
    given = make()
    assert find_flow(given).path == path
    assert isinstance(rnvp_deploy.convert(given), rnvp_deploy.RNVP)


LEFT_OUT: dict[str, tuple[Callable[[], Any], str]] = {
    "scaler, nothing to compare": (
        lambda: Holder(net=model(), scaler=nn.Linear(3, 3)),
        r"this Holder holds a flow at 'net'; .* leave out 'scaler' \(Linear\): the Holder has no",
    ),
    "scaler, compared": (
        lambda: Scales(net=model(), scaler=nn.Linear(3, 3)),
        r".* leave out 'scaler' \(Linear\): the log_prob of the Scales differs .* [\d.]+ nats\.",
    ),
    "step without weights": (
        lambda: TakesTheLogarithm(net=model()),
        r".* leave out a step: the log_prob of the TakesTheLogarithm differs from the flow's",
    ),
    "step without weights, in a module in a module": (
        lambda: Holder(model=TakesTheLogarithm(net=model())),
        r"this Holder holds a flow at 'model\.net'; .* the TakesTheLogarithm differs",
    ),
    "embedding": (
        lambda: Embeds(net=with_context(), embedding=nn.Linear(3, 2)),
        r".* leave out 'embedding' \(Linear\): ",
    ),
    "tensor": (lambda: Holder(net=model(), mean=torch.ones(3)), r".* leave out 'mean' \(Tensor\)"),
    "parameter": (
        lambda: Holder(net=model(), shift=nn.Parameter(torch.ones(3))),
        r".* leave out 'shift' \(Parameter\)",
    ),
    "object with arrays": (
        lambda: Holder(net=model(), scaler=Scaler()),
        r".* leave out 'scaler' \(Scaler\)",
    ),
    "trainer with a scaler": (
        lambda: Trainer(model(), scaler=Scaler()),
        r"this Trainer .* leave out 'scaler' \(Scaler\)",
    ),
    "inner scaler": (
        lambda: Holder(model=Holder(net=model(), scaler=nn.Linear(3, 3))),
        r".* leave out 'model\.scaler' \(Linear\)",
    ),
    "Sequential": (
        lambda: nn.Sequential(nn.Linear(3, 3), model()).eval(),
        r"this Sequential holds a flow at '1'; .* leave out '0' \(Linear\)",
    ),
    "list with another module": (lambda: [nn.Tanh(), model()], r".* leave out '0' \(Tanh\)"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_parts_that_would_be_left_out_are_named(name: str) -> None:
    """A holder whose other parts or steps would be lost is refused, and the error names them."""
    make, pattern = LEFT_OUT[name]
    with pytest.raises(ConversionError, match=f"^the model: {pattern}") as refusal:
        rnvp_deploy.convert(make())
    assert re.search(r"\. If the flow alone is meant, give '.*' itself$", str(refusal.value))


def test_parts_that_log_prob_does_not_use_are_named_in_a_warning() -> None:
    """A part that log_prob does not use is left out with a warning that names it."""
    holder = Scores(net=model(), classifier=nn.Linear(3, 2))
    with pytest.warns(UserWarning, match=r"converted without 'classifier' \(Linear\) of the Scor"):
        rnvp_deploy.convert(holder)


def test_the_path_of_a_refused_layer_begins_at_what_was_given() -> None:
    """The path of a refused layer begins at the object that convert received."""
    holder = Holder(net=model())
    holder.net._transform._transforms[1].train()
    with pytest.raises(ConversionError, match=r"^net\._transform\._transforms\.1: it is in train"):
        rnvp_deploy.convert(holder)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "two flows": (lambda: [model(), zuko.NICE(3)], r"it holds 2 flows: '0', '1'; give the one"),
    "a flow and its average": (
        lambda: Holder(net=model(), ema=AveragedModel(model())),
        r"it holds 2 flows: 'net', 'ema\.module'; give the one to convert$",
    ),
    "nessai's FlowModel before training": (
        lambda: FlowModel(None),
        r"the FlowModel holds no flow yet \(its 'model' is None\)",
    ),
    "a class": (lambda: nflows.SimpleRealNVP, r"SimpleRealNVP is a class or a function; call it"),
    "a function": (lambda: model, r"model is a class or a function; call it"),
    "a path": (lambda: "flow.pt", r"'flow\.pt' is a path; give the live model, or .*rnvp-import"),
    "a state dict": (lambda: model().state_dict(), r"a state dict has the weights alone; build"),
    "a converted flow": (
        lambda: rnvp_deploy.convert(model()),
        r"it is a flow of rnvp-deploy already: rnvp_deploy\.save",
    ),
    "a traced module": (
        lambda: torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)),
        r"a TorchScript module has no scale functions to read",
    ),
    "a layer of a library": (
        lambda: model()._transform,
        r"a CompositeTransform is not a flow of nflows; give the Flow with its base",
    ),
    "None": (lambda: None, r"a builtins\.NoneType is not a flow of FrEIA, glasflow"),
    "an empty list": (list, r"a builtins\.list is not a flow of FrEIA, glasflow"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused_with_what_to_give(name: str) -> None:
    """An object such as a class, a path, a state dict or two flows is refused with the reason."""
    make, pattern = REFUSED[name]
    with pytest.raises(ConversionError, match=f"^the model: {pattern}"):
        rnvp_deploy.convert(make())
