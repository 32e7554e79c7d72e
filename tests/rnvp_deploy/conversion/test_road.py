"""The commands in sequence: rnvp-import, rnvp-export and rnvp-score."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import rnvp_deploy
import rnvp_exporters
from rnvp_deploy.commands.import_ import import_
from rnvp_exporters.commands.export import export
from tests.rnvp_deploy.conversion import zoo
from tests.rnvp_deploy.conversion.zoo import Library
from tests.rnvp_deploy.conversion.zoo.everything import LIBRARIES

pytestmark = pytest.mark.filterwarnings("ignore")

FACTORY = """
from tests.rnvp_deploy.conversion.zoo.everything import LIBRARIES

def make_flow():
    return LIBRARIES[{index}].trainable()
"""


def run(command: Any, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def script(name: str, *arguments: object) -> None:
    command = [str(Path(sys.executable).parent / name), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


@torch.no_grad()
def test_rnvp_score_agrees_with_the_library(
    trained: tuple[Library, Any], data: Tensor, tmp_path: Path
) -> None:
    """The scores are as close to the library in float64 as the library is in float32."""
    library, model = trained
    torch.save(model.state_dict(), tmp_path / "flow.pt")
    index = LIBRARIES.index(library)
    factory = tmp_path / f"trained_{index}.py"
    factory.write_text(FACTORY.format(index=index))
    np.save(tmp_path / "data.npy", data.numpy())

    run(import_, f"{factory}:make_flow", "--weights", tmp_path / "flow.pt", "-o", tmp_path / "m.pt")
    run(export, tmp_path / "m.pt", "-o", tmp_path / "m.rnvp", "--format", "onnx")
    script("rnvp-score", tmp_path / "m.rnvp", tmp_path / "data.npy", "-o", tmp_path / "scores.npy")

    scores = torch.from_numpy(np.load(tmp_path / "scores.npy")).double()
    single = library.log_prob(model, data, None).double()
    truth = library.log_prob(model.double().train().eval(), data.double(), None)
    model.float().train().eval()
    error, float32_error = (scores - truth).abs(), (single - truth).abs()
    assert scores.shape == (10_000,)
    assert error.median() < 2 * float32_error.median() + 1e-7
    assert error.quantile(0.99) < 3 * float32_error.quantile(0.99) + 1e-6


EXPORTED = [
    # One model in eight is exported by `make test-slow`, the others by `make test-matrix`.
    pytest.param(
        library, name, id=f"{library.name}: {name}", marks=[pytest.mark.matrix] if i % 8 else []
    )
    for library in LIBRARIES
    for i, name in enumerate(library.supported)
]


@pytest.mark.slow
@pytest.mark.parametrize(("library", "name"), EXPORTED)
def test_every_model_of_the_zoo_is_exported_within_parity(
    library: Library, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each supported model of the zoo exports to a bundle that passes every parity check."""
    monkeypatch.setattr(zoo, "LIVELINESS", 0.3)
    torch.manual_seed(0)
    flow = getattr(rnvp_deploy, library.converter)(library.supported[name]())
    manifest = rnvp_exporters.export(flow, tmp_path / "model.rnvp", formats=("onnx",))
    assert all(parity.passed for parity in manifest.parity)
