"""The type of the model decides its library, and rnvp_deploy imports no library by itself."""

import subprocess
import sys
from typing import Any

import pytest
import torch

import rnvp_deploy
from rnvp_deploy import ir
from rnvp_deploy.conversion.finding import find_flow
from rnvp_deploy.conversion.readers import READERS
from rnvp_deploy.conversion.source import Reader, SourceFlow, SourceLayer
from rnvp_deploy.errors import ConversionError
from tests.rnvp_deploy.conversion.zoo import Library, quietly
from tests.rnvp_deploy.conversion.zoo import tutorial as zoo_tutorial
from tests.rnvp_deploy.conversion.zoo.everything import LIBRARIES
from tests.rnvp_deploy.conversion.zoo.nessai import real_nvp

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_convert_chooses_by_the_type_of_the_model(
    library: Library,
) -> None:
    """Without a given name, find_flow chooses the reader of the model's library."""
    with quietly():
        model = next(iter(library.supported.values()))()
    chosen = find_flow(model).reader
    assert chosen is READERS[library.converter.removeprefix("from_")]


def test_rnvp_deploy_imports_no_library() -> None:
    """Importing rnvp_deploy and its convert imports no library that it converts from."""
    program = "import sys, rnvp_deploy; rnvp_deploy.convert; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    imported = {name.partition(".")[0] for name in output.split()}
    assert not imported & {"nflows", "normflows", "zuko", "FrEIA", "glasflow", "nessai"}


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_columns_can_be_named(library: Library) -> None:
    """The argument ``columns`` of convert names the columns of the flow."""
    with quietly():
        model = next(iter(library.supported.values()))()
    names = ["mass", "age", "height", "speed", "price"][: rnvp_deploy.convert(model).dim]
    assert rnvp_deploy.convert(model, columns=names).columns == tuple(names)


def test_the_library_can_be_named() -> None:
    """convert accepts the library's name and refuses an unknown name or another library's model."""
    model = zoo_tutorial.SUPPORTED["stacked_NVP"]()
    assert rnvp_deploy.convert(model, "tutorial").dim == 4
    with pytest.raises(ConversionError, match="'keras' is not a library; expected one of freia,"):
        rnvp_deploy.convert(model, "keras")
    with pytest.raises(ConversionError, match="a stacked_NVP is not a Flow of zuko"):
        rnvp_deploy.from_zuko(model)


def test_a_new_library_is_one_entry_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """``convert`` finds it by the model's type, and a refusal lists it."""

    class Shift(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = torch.nn.Parameter(torch.tensor([1.0, 2.0]))

    def read(model: Any) -> SourceFlow:
        layer = SourceLayer(
            "shift",
            (ir.DiagonalAffine(model.shift.numpy(), torch.zeros(2).numpy()),),
            lambda x, c: (x - model.shift, torch.zeros(len(x))),
            lambda z, c: z + model.shift,
        )
        base = torch.distributions.Normal(0.0, 1.0)
        return SourceFlow(2, 0, (layer,), lambda x, c: base.log_prob(x - model.shift).sum(-1))

    Shift.__module__ = "newlib.flows"
    with pytest.raises(ConversionError, match=r"a newlib\.flows\.Shift is not a flow of"):
        rnvp_deploy.convert(Shift().eval())

    reader = Reader("newlib", lambda module: hasattr(module, "shift"), read)
    monkeypatch.setitem(READERS, "newlib", reader)
    assert rnvp_deploy.convert(Shift().eval()).dim == 2
    with pytest.raises(ConversionError, match="newlib"):
        rnvp_deploy.convert({})


def test_a_model_is_converted_after_calls_that_left_gradients_and_caches() -> None:
    """After a call under autograd a model may hold tensors that cannot be copied."""
    from tests.rnvp_deploy.conversion.zoo.freia import SUPPORTED

    name = "AllInOneBlock, learned_householder_permutation, reverse_permutation, EXP"
    models = [real_nvp()(), SUPPORTED[name]()]
    for model in models:
        model(torch.randn(3, 4 if model is models[0] else 5))
        rnvp_deploy.convert(model)
