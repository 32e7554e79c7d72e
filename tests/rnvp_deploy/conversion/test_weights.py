"""Weights from a file are loaded if they fit. Otherwise the error says why they do not fit."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import rnvp_deploy
from rnvp_deploy.conversion.weights import load_weights
from rnvp_deploy.errors import ConversionError
from tests.rnvp_deploy.conversion.zoo.nflows import SimpleRealNVP

State = dict[str, Tensor]
FIRST = "_transform._transforms.0.transform_net.initial_layer.weight"


def model(hidden: int = 8, layers: int = 2) -> Any:
    torch.manual_seed(1)
    return SimpleRealNVP(3, hidden, layers, 1)


def state(**options: int) -> State:
    return dict(model(**options).state_dict())


def prefixed(prefix: str, of: State | None = None) -> State:
    return {prefix + key: value for key, value in (of or state()).items()}


def load(content: Any, path: Path, *models: Any) -> list[str]:
    """Load the weights, check that they are those of ``state()``, and return the notes."""
    torch.save(content, path)
    targets = models or (SimpleRealNVP(3, 8, 2, 1),)
    notes = load_weights(targets, path)
    loaded = targets[-1].state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state().items())
    return notes


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "flow.", "model.", "module._orig_mod.", "a.b."]
)
def test_a_prefix_before_every_key_is_dropped_and_reported(prefix: str, tmp_path: Path) -> None:
    """A prefix that all keys have is dropped, and a note reports it."""
    path = tmp_path / "flow.pt"
    assert load(prefixed(prefix), path) == [
        f"The keys in {path} begin with `{prefix}`, the model's do not: it was dropped."
    ]


def test_the_counter_of_an_averaged_model_is_ignored(tmp_path: Path) -> None:
    """The weights of an AveragedModel load although its state dict also has a counter."""
    notes = load(AveragedModel(model()).state_dict(), tmp_path / "flow.pt")
    assert "begin with `module.`" in notes[0]


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        (lambda: {"net": state(), "epoch": 3}, "net"),
        (lambda: {"model_state": state(), "optimizer": optimizer_state()}, "model_state"),
        (lambda: {"state_dict": state(), "hyper_parameters": {"lr": 1e-3}}, "state_dict"),
        (lambda: {"epoch": 3, "run": {"weights": state()}}, "run.weights"),
        (lambda: {"net": prefixed("module.")}, "net"),
        (lambda: {"model": state(), "average": state(hidden=16)}, "model"),
    ],
)
def test_a_state_dict_is_found_under_any_entry(
    content: Callable[[], Any], entry: str, tmp_path: Path
) -> None:
    """A state dict under any key of the file is loaded, and a note names the entry."""
    path = tmp_path / "checkpoint.pt"
    assert load(content(), path)[0] == f"The weights are the entry {entry!r} of {path}."


def optimizer_state() -> Any:
    parameters = model()
    optimizer = torch.optim.Adam(parameters.parameters())
    sum(p.sum() for p in parameters.parameters()).backward()
    optimizer.step()
    return optimizer.state_dict()


def test_an_entry_that_fits_too_is_named(tmp_path: Path) -> None:
    """The entry ``model`` is used, since checkpoints usually have this name."""
    notes = load({"average": state(), "model": state()}, tmp_path / "checkpoint.pt")
    assert notes[1:] == ["The entry 'average' fits too."]


@pytest.mark.parametrize("extra", [np.float64(0.5), np.int64(3), np.bool_(True), 3, "adam", None])
def test_entries_that_are_not_weights_are_ignored_and_named(extra: Any, tmp_path: Path) -> None:
    """An entry that is a number, a text or None is ignored, and a note names it."""
    notes = load({**state(), "best": extra}, tmp_path / "flow.pt")
    assert notes == ["Ignored, because they are not weights: best."]


def test_arrays_of_numpy_are_weights(tmp_path: Path) -> None:
    """A state dict of numpy arrays is loaded without a note."""
    arrays = {key: value.numpy() for key, value in state().items()}
    assert load(arrays, tmp_path / "flow.pt") == []


@pytest.mark.parametrize("prefix", ["", "flow."])
def test_the_weights_may_be_the_holders_or_the_flows(prefix: str, tmp_path: Path) -> None:
    """The factory returns a module that holds the flow. The keys may be those of either."""
    holder = nn.Module()
    holder.flow = SimpleRealNVP(3, 8, 2, 1)
    assert load(prefixed(prefix), tmp_path / "flow.pt", holder, holder.flow) == []


class Renaming(SimpleRealNVP):  # type: ignore[misc, valid-type]
    """A model that renames the keys of its earlier versions when it loads them."""

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        renamed = {key.replace("old", "_transform"): value for key, value in state_dict.items()}
        return super().load_state_dict(renamed, *args, **kwargs)


def test_a_model_that_renames_old_keys_loads_them(tmp_path: Path) -> None:
    """Old keys are loaded if the model's own load_state_dict renames them."""
    old = {key.replace("_transform._", "old._"): value for key, value in state().items()}
    assert load(old, tmp_path / "flow.pt", Renaming(3, 8, 2, 1)) == []


def without(count: int) -> State:
    return dict(list(state().items())[count:])


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "other widths": (
        lambda: state(hidden=16),
        rf"`{FIRST}` has shape \(16, 2\) in the file and \(8, 2\) in the model, and 13 more diff",
    ),
    "other widths, under an entry and a prefix": (
        lambda: {"epoch": 3, "net": prefixed("module.", state(hidden=16))},
        rf"its entry 'net': without the prefix `module\.` of its keys, `{FIRST}` has shape "
        r".*\. The file holds the entries epoch \(int\), net \(20 tensors\)$",
    ),
    "fewer layers": (lambda: without(4), r"it lacks 4 of the model's 20 keys, such as `_transform"),
    "more layers": (
        lambda: state(layers=3),
        r"it has 10 keys that the model lacks, such as `_transform\._transforms\.2",
    ),
    "another model": (
        lambda: nn.Linear(2, 2).state_dict(),
        r"none of its keys, such as `weight`, is one of the model's, such as `_transform\.",
    ),
    "a model that holds the flow and more": (
        lambda: {"state_dict": {**prefixed("flow."), "scaler.mean": torch.zeros(3)}},
        r"its entry 'state_dict': without the prefix `flow\.` of its keys, it has 1 keys that the "
        r"model lacks, such as `scaler\.mean`; return the whole model from the factory",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_weights_that_do_not_fit_are_diagnosed_in_one_line(fault: str, tmp_path: Path) -> None:
    """Weights that do not fit are refused in one line that says what differs."""
    make, pattern = FAULTS[fault]
    path = tmp_path / "flow.pt"
    with pytest.raises(ConversionError, match="do not fit the model: " + pattern) as error:
        load(make(), path)
    assert "\n" not in str(error.value)


OTHER_FILES: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing": (dict, r"holds no state dict; it holds an empty dict$"),
    "a list": (lambda: [state()], r"holds no state dict; it holds a list$"),
    "no weights": (
        lambda: {"epoch": 3, "losses": {"train": [1.0]}},
        r"holds no state dict; it holds the entries epoch \(int\), losses \(a dict without tens",
    ),
    "a whole model": (model, r"holds a nflows\.flows\.realnvp\.SimpleRealNVP, which could run cod"),
    "a namespace beside the weights": (
        lambda: {"net": state(), "args": argparse.Namespace(lr=1e-3)},
        r"holds a argparse\.Namespace, which could run code .* torch\.save\(flow\.state_dict\(\)",
    ),
    "an array of objects": (
        lambda: {**state(), "names": np.array([object()])},
        r"which could run code when opened",
    ),
    "two state dicts": (
        lambda: {"net": state(), "average": state()},
        r"several entries of .* fit the model: net, average; save the one",
    ),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_other_files_are_refused_with_what_they_hold(name: str, tmp_path: Path) -> None:
    """A file without exactly one safe state dict that fits is refused with the reason."""
    make, pattern = OTHER_FILES[name]
    with pytest.raises(ConversionError, match=pattern):
        load(make(), tmp_path / "flow.pt")


@pytest.mark.parametrize(
    ("name", "content", "pattern"),
    [
        ("flow.pt", b"", r"flow\.pt was not saved by torch\.save"),
        ("flow.pt", b"epoch,loss\n1,2.0\n", r"flow\.pt (was not saved|holds Python objects)"),
        ("flow.safetensors", b"\x08", r"is a safetensors file; let the factory load it"),
    ],
)
def test_files_of_other_formats_are_refused(
    name: str, content: bytes, pattern: str, tmp_path: Path
) -> None:
    """An empty file, a CSV file and a safetensors file are refused with the reason."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConversionError, match=pattern):
        load_weights((model(),), tmp_path / name)


def test_a_checkpoint_of_rnvp_deploy_needs_no_conversion(tmp_path: Path) -> None:
    """A checkpoint of rnvp-deploy is refused, and the error gives its rnvp-export command."""
    path = tmp_path / "model.pt"
    rnvp_deploy.save(rnvp_deploy.convert(model().eval()), path)
    with pytest.raises(ConversionError, match=rf"already converted; export it: rnvp-export {path}"):
        load_weights((model(),), path)
