"""The library is told by the model, and only a model brings its library."""

import subprocess
import sys
from typing import Any

import pytest
import torch

import rnvp_deploy
from rnvp_deploy.conversion.finding import find_flow
from rnvp_deploy.conversion.readers import READERS
from tests.rnvp_deploy.conversion.zoo import Library, quietly
from tests.rnvp_deploy.conversion.zoo.everything import LIBRARIES
from tests.rnvp_deploy.conversion.zoo.nessai import real_nvp

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_convert_chooses_by_the_type_of_the_model(
    library: Library,
) -> None:
    with quietly():
        model = next(iter(library.supported.values()))()
    chosen = find_flow(model).reader
    assert chosen is READERS[library.converter.removeprefix("from_")]


def test_no_library_is_imported_by_us() -> None:
    program = "import sys, rnvp_deploy; rnvp_deploy.convert; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    imported = {name.partition(".")[0] for name in output.split()}
    assert not imported & {"nflows", "normflows", "zuko", "FrEIA", "glasflow", "nessai"}


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_columns_can_be_named(library: Library) -> None:
    with quietly():
        model = next(iter(library.supported.values()))()
    names = ["mass", "age", "height", "speed", "price"][: rnvp_deploy.convert(model).dim]
    assert rnvp_deploy.convert(model, columns=names).columns == tuple(names)


def test_a_flow_model_of_nessai_is_looked_into() -> None:
    class FlowModel:
        model: Any = None

    FlowModel.__module__ = "nessai.flowmodel"
    trainer = FlowModel()
    with pytest.raises(rnvp_deploy.errors.ConversionError, match="holds no flow yet"):
        rnvp_deploy.convert(trainer)
    trainer.model = real_nvp()()
    assert rnvp_deploy.convert(trainer).dim == 4


def test_gradients_and_caches_of_earlier_calls_are_no_hindrance() -> None:
    """After a call under autograd a model may hold tensors that cannot be copied."""
    from tests.rnvp_deploy.conversion.zoo.freia import SUPPORTED

    name = "AllInOneBlock, learned_householder_permutation, reverse_permutation, EXP"
    models = [real_nvp()(), SUPPORTED[name]()]
    for model in models:
        model(torch.randn(3, 4 if model is models[0] else 5))
        rnvp_deploy.convert(model)
