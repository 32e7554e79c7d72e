"""``model.pt``: a loaded flow equals the saved one, and other files are refused."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

import rnvp_deploy
from rnvp_deploy import RNVP, RNVPConfig, scales
from rnvp_deploy.checkpoint import read_training
from rnvp_deploy.errors import CheckpointError
from rnvp_deploy.maps import Affine
from rnvp_deploy.networks import Activation, Dense, Norm, Rescale, Residual
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import (
    CouplingSpec,
    DiagonalAffineSpec,
    LinearSpec,
    PermutationSpec,
)
from rnvp_runtime import OutputError

LAYERS = FlowSpec(
    dim=3,
    transforms=(
        DiagonalAffineSpec(3, from_data=True, trainable=False),
        PermutationSpec((2, 0, 1)),
        LinearSpec(3),
        LinearSpec(3, lu=False),
        CouplingSpec(
            (0, 2),
            (1,),
            (
                ("sig", (Dense(2, 4), Norm(4), Rescale(4), Activation("silu"), Dense(4, 1))),
                ("mu", (Dense(2, 4), Residual((Dense(4, 4),), 4), Dense(4, 1))),
            ),
            Affine(scales.LogSigmoidPlus()),
            inverted=True,
        ),
        DiagonalAffineSpec(3),
    ),
)
CONFIGS: dict[str, RNVPConfig | FlowSpec] = {
    "default": RNVPConfig(dim=2),
    "separate": RNVPConfig(dim=3, joint=False, split=2),
    "lu": RNVPConfig(dim=3, mixing="lu", actnorm=True),
    "permute": RNVPConfig(dim=4, mixing="permute", seed=5),
    "conditional": RNVPConfig(dim=3, context_dim=2, residual=True, hidden=(8, 8)),
    "centred": RNVPConfig(dim=4, scale=scales.Centred(scales.Atan(bound=2.0))),
    "layer by layer": LAYERS,
}


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """The content of a checkpoint."""
    rnvp_deploy.save(RNVP(RNVPConfig(dim=2)), tmp_path / "whole.pt")
    return dict(torch.load(tmp_path / "whole.pt", weights_only=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_flow_comes_back_as_it_was(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """Configuration, weights and dtype are kept, and log_prob is equal bit for bit."""
    flow = RNVP(CONFIGS[name]).to(dtype)
    context = torch.randn(9, flow.context_dim, dtype=dtype) if flow.context_dim else None
    x = torch.randn(9, flow.dim, dtype=dtype)
    flow.initialise(x, context)
    rnvp_deploy.save(flow, tmp_path / "model.pt")
    back = rnvp_deploy.load(tmp_path / "model.pt")
    assert (back.spec, back.dtype, back.training) == (flow.spec, dtype, False)
    assert torch.equal(back.log_prob(x, context), flow.log_prob(x, context))


def test_column_names_and_training_come_back(tmp_path: Path) -> None:
    """A checkpoint also keeps the column names and the record of a training."""
    flow = RNVP(RNVPConfig(dim=2, context_dim=1), ("carat", "price"), ("depth",))
    rnvp_deploy.save(flow, tmp_path / "model.pt", training={"losses": [[1.5, 1.25]]})
    back = rnvp_deploy.load(tmp_path / "model.pt")
    assert (back.columns, back.context_columns) == (("carat", "price"), ("depth",))
    assert read_training(tmp_path / "model.pt") == {"losses": [[1.5, 1.25]]}


def test_equal_flows_are_equal_bytes(tmp_path: Path) -> None:
    """The file depends on the flow alone, not on its own name."""
    flow = RNVP(RNVPConfig(dim=2))
    rnvp_deploy.save(flow, tmp_path / "one.pt")
    rnvp_deploy.save(flow, tmp_path / "another.pt")
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()


def test_a_failed_save_changes_nothing(tmp_path: Path) -> None:
    """After a failed save the old checkpoint is unchanged, and no other file is left."""
    path = tmp_path / "model.pt"
    flow = RNVP(RNVPConfig(dim=2))
    rnvp_deploy.save(flow, path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"training\['not plain'\] is of type"):
        rnvp_deploy.save(flow, path, training={"not plain": lambda: None}, force=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


class _Trap:
    """An object whose pickle creates a folder when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_pickle_that_would_run_code_is_not_opened(writer: str, tmp_path: Path) -> None:
    """The file is refused, and its code does not run."""
    path, sprung = tmp_path / "model.pt", tmp_path / "sprung"
    if writer == "torch":
        torch.save({"format": "rnvp-deploy", "config": _Trap(sprung)}, path)
    else:
        path.write_bytes(pickle.dumps(_Trap(sprung)))
    for read in (rnvp_deploy.load, read_training):
        with pytest.raises(CheckpointError, match="could run code"):
            read(path)
    assert not sprung.exists()
    torch.load(path, weights_only=False) if writer == "torch" else pickle.loads(path.read_bytes())
    assert sprung.exists(), "the pickle creates no folder, so this test shows nothing"


def test_the_error_for_a_pickled_model_says_what_to_do(tmp_path: Path) -> None:
    """Files of torch.save(model) are common, so the error names rnvp-import."""
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="rnvp-import"):
        rnvp_deploy.load(tmp_path / "model.pt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error is a CheckpointError with the path, not an error of torch."""
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*absent\.pt"):
        rnvp_deploy.load(tmp_path / "absent.pt")


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], {"format": "other"}])
def test_another_programs_checkpoint_is_refused(content: object, tmp_path: Path) -> None:
    """A file of plain values is refused if it is not a checkpoint of rnvp-deploy."""
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="not an rnvp-deploy checkpoint"):
        rnvp_deploy.load(tmp_path / "model.pt")


@pytest.mark.parametrize("text", [b"", b"a,b\n1,2\n", b"\x80\x05garbage", b"PK\x03\x04"])
def test_a_file_that_is_not_a_checkpoint_is_refused(text: bytes, tmp_path: Path) -> None:
    """An empty file, a table and random bytes give a CheckpointError."""
    (tmp_path / "model.pt").write_bytes(text)
    with pytest.raises(CheckpointError):
        rnvp_deploy.load(tmp_path / "model.pt")


def test_a_newer_checkpoint_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    """A checkpoint of an unknown version is refused, and the error names the version."""
    torch.save({**content, "version": 3}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="version 3"):
        rnvp_deploy.load(tmp_path / "model.pt")


GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["recipe", "layers"])
def test_a_checkpoint_of_version_1_gives_the_numbers_that_it_gave(name: str) -> None:
    """Version 1 stored a recipe, or a recipe with its layers written out."""
    flow = rnvp_deploy.load(GOLDEN / f"checkpoint_version_1_{name}.pt")
    outputs = torch.load(GOLDEN / "checkpoint_version_1_outputs.pt", weights_only=True)
    for found, expected in zip(flow(outputs["x"], outputs["context"]), outputs[name], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("key", ["config", "state_dict"])
def test_a_damaged_checkpoint_of_version_1_is_refused(key: str, tmp_path: Path) -> None:
    """The upgrade of an old checkpoint refuses damaged parts too."""
    content = torch.load(GOLDEN / "checkpoint_version_1_recipe.pt", weights_only=True)
    torch.save({**content, key: {"kind": "RNVPConfig"}}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"model\.pt"):
        rnvp_deploy.load(tmp_path / "model.pt")


@pytest.mark.parametrize("key", ["flow", "state_dict", "columns", "context_columns", "training"])
def test_a_missing_part_is_named(key: str, content: dict[str, Any], tmp_path: Path) -> None:
    """A checkpoint that lacks a part is damaged."""
    del content[key]
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=f"lacks {key}"):
        rnvp_deploy.load(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("flow", None),
        ("flow", {"kind": "Dense", "inputs": 1, "outputs": 1}),
        ("flow", {"kind": "FlowSpec", "dim": 0}),
        ("flow", {"kind": "FlowSpec", "dim": 9}),
        ("flow", {"kind": "FlowSpec", "dim": "two"}),
        ("flow", {"kind": "FlowSpec", "dim": 2, "transforms": [3]}),
        ("state_dict", {}),
        ("state_dict", None),
        ("state_dict", {"other": torch.zeros(2)}),
        ("columns", ["a"]),
        ("columns", None),
        ("training", None),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    key: str, value: object, content: dict[str, Any], tmp_path: Path
) -> None:
    """A wrong value of any part gives a CheckpointError."""
    torch.save({**content, key: value}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"model\.pt|checkpoint"):
        rnvp_deploy.load(tmp_path / "model.pt")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(keep: float, tmp_path: Path) -> None:
    """An incomplete download gives a CheckpointError."""
    path = tmp_path / "model.pt"
    rnvp_deploy.save(RNVP(RNVPConfig(dim=2)), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(CheckpointError):
        rnvp_deploy.load(path)


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    """A checkpoint is a zip file, but another zip file is not a checkpoint."""
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("model/readme.txt", "hello")
    with pytest.raises(CheckpointError, match="not a PyTorch checkpoint"):
        rnvp_deploy.load(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["table.csv", "model.rnvp", "density.onnx", "notebook.ipynb"])
def test_save_refuses_a_suffix_of_another_kind(name: str, tmp_path: Path) -> None:
    """A checkpoint never replaces a table or another kind of file, also with force."""
    with pytest.raises(OutputError, match="but a checkpoint is written"):
        rnvp_deploy.save(RNVP(RNVPConfig(dim=2)), tmp_path / name, force=True)
    assert not list(tmp_path.iterdir())


def test_save_replaces_an_existing_file_only_with_force(tmp_path: Path) -> None:
    """The error says how to replace the file."""
    path = tmp_path / "model.pt"
    path.write_text("something else")
    with pytest.raises(OutputError, match=r"model\.pt exists: pass force=True"):
        rnvp_deploy.save(RNVP(RNVPConfig(dim=2)), path)
    assert path.read_text() == "something else"
    rnvp_deploy.save(RNVP(RNVPConfig(dim=2)), path, force=True)
    assert rnvp_deploy.load(path).dim == 2


@pytest.mark.parametrize("wrap", [dict, lambda state: {"model": dict(state), "epoch": 3}])
def test_the_error_for_a_state_dict_shows_the_right_command(wrap: Any, tmp_path: Path) -> None:
    """A state dict does not contain a flow. rnvp-import needs the code that builds one."""
    path = tmp_path / "flow.pt"
    torch.save(wrap(torch.nn.Linear(2, 2).state_dict()), path)
    with pytest.raises(CheckpointError, match=r"is a state dict: .*--weights .*flow\.pt -o model"):
        rnvp_deploy.load(path)
