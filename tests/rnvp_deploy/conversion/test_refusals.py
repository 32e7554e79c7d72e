"""A refusal of a conversion is one line that names the layer by its path in the model."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

import rnvp_deploy
from rnvp_deploy.errors import ConversionError
from tests.rnvp_deploy.conversion.zoo import (
    Library,
    freia,
    glasflow,
    nessai,
    nflows,
    normflows,
    quietly,
    zuko,
)
from tests.rnvp_deploy.conversion.zoo.everything import LIBRARIES

with quietly():
    from nflows.distributions.uniform import BoxUniform

pytestmark = pytest.mark.filterwarnings("ignore")

REFUSED = [
    pytest.param(library, name, id=f"{library.name}: {name}")
    for library in LIBRARIES
    for name in library.refused
]


@pytest.mark.parametrize(("library", "name"), REFUSED)
def test_refused_in_one_line(library: Library, name: str) -> None:
    """Each unsupported model is refused in one line that begins with a path in the model."""
    torch.manual_seed(0)
    with quietly():
        model = library.refused[name]()
    with pytest.raises(ConversionError) as refusal:
        getattr(rnvp_deploy, library.converter)(model)
    text = str(refusal.value)
    assert "\n" not in text
    path = text.partition(":")[0]
    assert path == "the model" or _exists(model, path), text


def _exists(model: Any, path: str) -> bool:
    for name in path.split("."):
        model = model[int(name)] if name.isdigit() else getattr(model, name)
    return True


@pytest.mark.parametrize(
    ("library", "name", "pattern"),
    [
        ("nflows", "training mode", r"^the model: it is in training mode; call eval\(\)"),
        ("nflows", "float16 weights", r"^_transform\._transforms\.0\.transform_net\..*float16"),
        ("nflows", "ActNorm that has seen no data", r"^_transform\._transforms\.1: an ActNorm"),
        ("nflows", "embedding network", r"^_embedding_net: .*\(Linear\)"),
        (
            "nflows",
            "spline coupling",
            r"^_transform\._transforms\.1: a PiecewiseRationalQuadraticCouplingTransform has no",
        ),
        ("nflows", "autoregressive transform", r"^_transform\._transforms\.0: a MaskedAffineAut"),
        (
            "nflows",
            "unconditional transform of the passive half",
            r"^_transform\._transforms\.0\.unconditional_transform: ",
        ),
        (
            "nflows",
            "custom network that computes more than the network it wraps",
            r"^_transform\._transforms\.0\.transform_net: a Unlike is not a layer .*are Seq",
        ),
        (
            "nflows",
            "unsupported activation",
            r"^_transform\._transforms\.0\.transform_net\.blocks\.0\.activation: frac .*relu",
        ),
        ("normflows", "BatchNorm", r"^flows\.1: a BatchNorm has no counterpart"),
        ("zuko", "NSF (spline)", r"^transform\.transforms\.0: a MaskedAutoregressiveTransform"),
        ("FrEIA", "GraphINN that branches", r"^module_list\.4: node .* branches"),
        ("FrEIA", "subnet with a custom forward", r"^module_list\.0\.subnet2: a Residual"),
        ("glasflow", "CouplingNSF (spline)", r"^_transform\._transforms\.0: a Piecewise"),
        ("nessai", "pre_transform logit", r"^_transform\._transforms\.0\._transform: a Sigmoid"),
    ],
)
def test_names_the_layer(library: str, name: str, pattern: str) -> None:
    """The refusal of an unsupported model begins with the path of the part at fault."""
    (found,) = [candidate for candidate in LIBRARIES if candidate.name == library]
    with quietly():
        model = found.refused[name]()
    with pytest.raises(ConversionError, match=pattern):
        rnvp_deploy.convert(model)


BASES: dict[str, tuple[Callable[[], Any], str]] = {
    "nflows, BoxUniform": (
        lambda: nflows.flow(nflows.coupling(), base=BoxUniform(torch.zeros(5), torch.ones(5))),
        "_distribution: a base distribution of type BoxUniform ",
    ),
    "nflows, MADEMoG": (
        lambda: nflows.flow(nflows.coupling(), base=nflows.distributions.MADEMoG(5, 16, 0, 2)),
        "_distribution: a base distribution of type MADEMoG ",
    ),
    "nflows, rows of two axes": (
        lambda: nflows.flow(nflows.coupling(), base=nflows.distributions.StandardNormal([5, 2])),
        "_distribution: its rows have shape (5, 2); ",
    ),
    "glasflow, MultivariateUniform": (
        glasflow.REFUSED["MultivariateUniform base"],
        "_distribution: a base distribution of type MultivariateUniform ",
    ),
    "nessai, ResampledGaussian": (
        nessai.REFUSED["ResampledGaussian base (LARS)"],
        "_distribution: a base distribution of type ResampledGaussian ",
    ),
    "normflows, GaussianMixture": (
        lambda: normflows.REFUSED["GaussianMixture base"]().float(),
        "q0: a base distribution of type GaussianMixture ",
    ),
    "zuko, BoxUniform": (
        zuko.REFUSED["BoxUniform base"],
        "base: a base distribution of type Uniform ",
    ),
    "zuko, a distribution of torch": (
        lambda: zuko.Flow(zuko.NICE(3).transform, torch.distributions.Normal(0.0, 1.0)),
        "base: a base distribution of type Normal is not a base of zuko; give ",
    ),
}


@pytest.mark.parametrize("base", BASES)
def test_a_base_that_is_not_converted_is_named(base: str) -> None:
    """A base distribution of any other kind is refused in one line that begins with its path."""
    make, expected = BASES[base]
    with quietly():
        model = make().eval()
    with pytest.raises(ConversionError) as refusal:
        rnvp_deploy.convert(model)
    assert str(refusal.value).startswith(expected)
    assert "\n" not in str(refusal.value)


def parts(model: Any) -> list[tuple[str, str]]:
    """The path of each module of ``model`` with each of its attributes."""
    return [
        (path, name)
        for path, module in model.named_modules()
        for name in (*module._parameters, *module._buffers, *module._modules, *vars(module))
        if path
        and not name.isdigit()
        and (name[0] != "_" or name == "_shape")
        and name != "training"
    ]


@pytest.mark.parametrize(
    ("library", "name"),
    [
        (nflows, "ConditionalDiagonalNormal"),
        (normflows, "AffineCouplingBlock, scale_map exp"),
        (zuko, "NICE, context"),
        (glasflow, "RealNVP, n_conditional_inputs"),
        (freia, "SequenceINN with conditions, ConditionalAffineTransform"),
    ],
)
def test_a_part_that_lacks_an_attribute_is_named(library: Any, name: str) -> None:
    """A model without one attribute of one layer is converted, or refused by a layer's path."""
    with quietly():
        model = library.SUPPORTED[name]()
    first = {path.split(".")[0] for path, _ in parts(model)}
    for path, attribute in {
        (type(model.get_submodule(p)), n): (p, n) for p, n in parts(model)
    }.values():
        changed = copy.deepcopy(model)
        delattr(changed.get_submodule(path), attribute)
        try:
            rnvp_deploy.convert(changed)
        except ConversionError as error:
            text = str(error)
            own_log_prob = text.startswith("the model: its log_prob fails")
            assert own_log_prob or text.partition(":")[0].split(".")[0] in first, text
            assert "\n" not in text


def test_a_part_in_training_mode_is_named() -> None:
    """A layer in training mode is refused by its path, also in a model in eval mode."""
    (nflows,) = [library for library in LIBRARIES if library.name == "nflows"]
    model = nflows.supported["BatchNorm"]()
    model._transform._transforms[1].train()
    with pytest.raises(ConversionError, match=r"^_transform\._transforms\.1: it is in training"):
        rnvp_deploy.convert(model)


def test_an_object_of_no_known_library_is_refused() -> None:
    """A dict is refused, and the error gives its type and the supported libraries."""
    with pytest.raises(ConversionError, match=r"a builtins\.dict is not a flow of FrEIA, glasflow"):
        rnvp_deploy.convert({})
