"""A refusal of a conversion is one line that names the layer by its path in the model."""

from typing import Any

import pytest
import torch

import rnvp_deploy
from rnvp_deploy.errors import ConversionError
from tests.rnvp_deploy.conversion.zoo import Library, quietly
from tests.rnvp_deploy.conversion.zoo.everything import LIBRARIES

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
