"""``save`` writes only what ``load`` opens as the same flow; it refuses the rest beforehand."""

import enum
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rnvp_deploy
from rnvp_deploy import RNVP, RNVPConfig, TrainingOptions, column_maps, fit
from rnvp_deploy.changes import same_outputs, unwrapped
from rnvp_deploy.checkpoint import read_training
from rnvp_deploy.errors import CheckpointError, ConfigError
from rnvp_deploy.mapped_columns import ColumnMap
from rnvp_deploy.networks import Activation, Dense
from rnvp_deploy.scales import Tanh
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import (
    CouplingSpec,
    DiagonalAffineSpec,
    LinearSpec,
    PermutationSpec,
)
from tests.changed_flows import CHANGES, SMALL
from tests.flows import SCALES, lively

X = np.random.default_rng(0).normal(size=(200, 2))


def numpy_of(value: Any) -> Any:
    """A plain value as numpy would give it; a description with all its fields so."""
    if isinstance(value, tuple):
        return tuple(map(numpy_of, value))
    if hasattr(value, "__dataclass_fields__"):
        return type(value)(**{f.name: numpy_of(getattr(value, f.name)) for f in fields(value)})
    return value if value is None else np.array(value)[()]


DESCRIPTIONS: dict[str, RNVPConfig | FlowSpec] = {
    "options": RNVPConfig(3, 2, 2, (8, 8), 1, "tanh", True, True, Tanh(2.0), "permute", True),
    "maps": RNVPConfig(
        2, elementwise=column_maps("ab", log={"a": -9.0}, logit={"b": (-9.0, 9.0)}, integer="b")
    ),
    "transforms": FlowSpec(
        3,
        transforms=(
            PermutationSpec((2, 0, 1)),
            LinearSpec(3),
            DiagonalAffineSpec(3),
            CouplingSpec(
                (0,), (1, 2), (("mu", (Dense(1, 4), Activation("elu", 1.0), Dense(4, 2))),)
            ),
        ),
    ),
    **{name: RNVPConfig(2, couplings=1, scale=scale) for name, scale in SCALES.items()},
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_in_numpys_numbers_is_one_in_pythons(name: str, tmp_path: Path) -> None:
    """Numbers and text of numpy, at any depth, become Python's own, and the flow can be opened."""
    described = DESCRIPTIONS[name]
    flow = RNVP(numpy_of(described), tuple(np.array(["a", "b", "c"])[: described.dim]))
    assert flow.spec == RNVP(described).spec
    rnvp_deploy.save(flow, tmp_path / "model.pt")
    back = rnvp_deploy.load(tmp_path / "model.pt")
    assert (back.spec, back.columns) == (flow.spec, flow.columns)


@pytest.mark.parametrize(
    "order", [[2, 0, 1], np.array([2, 0, 1]), np.array([2, 0, 1], np.int8), torch.tensor([2, 0, 1])]
)
def test_a_tuple_may_come_as_a_list_or_an_array(order: Any) -> None:
    """A list, an array or a tensor of a description becomes a tuple of plain numbers."""
    assert repr(PermutationSpec(order)) == "PermutationSpec(order=(2, 0, 1))"
    assert repr(RNVPConfig(2, hidden=order[:1]).hidden) == repr((int(order[0]),))


class _Kind(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.True_, True),
        (np.str_("a"), "a"),
        (np.array(0.5), 0.5),
        (_Kind.ONE, 1),
    ],
)
def test_a_record_in_numpys_numbers_comes_back_in_pythons(
    given: Any, kept: Any, tmp_path: Path
) -> None:
    """Scalars of numpy and enums in ``training``, at any depth, become Python's own."""
    record = {"value": given, "list": [given, {"inside": (given,)}]}
    record |= {} if isinstance(given, np.ndarray) else {given: 1}
    rnvp_deploy.save(RNVP(SMALL), tmp_path / "model.pt", training=record)
    back = read_training(tmp_path / "model.pt")
    assert (back["value"], back["list"]) == (kept, [kept, {"inside": (kept,)}])
    assert {type(back["value"]), *map(type, back)} <= {str, type(kept)}


def test_options_in_numpys_numbers_train_a_flow_that_can_be_resumed(tmp_path: Path) -> None:
    """Options taken from numpy arrays are in the checkpoint as plain numbers."""
    plain = TrainingOptions(2, 32, 0.01, keep_rows=3, seed=1)
    flow = RNVP(SMALL)
    options = numpy_of(plain)
    assert options == plain
    assert repr(options) == repr(plain)
    rnvp_deploy.save(flow, tmp_path / "m.pt", training=fit(flow, X, options=options).record)
    assert TrainingOptions(**read_training(tmp_path / "m.pt")["options"]) == plain


def _endless() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    "value",
    [np.ones(2), {1, 2}, np.datetime64("2026"), nn.Linear(1, 1), print, 1j, _endless()],
    ids=lambda value: type(value).__name__,
)
def test_a_record_that_is_not_plain_is_refused(value: Any, tmp_path: Path) -> None:
    """The message says where the value is, and nothing is written."""
    with pytest.raises(CheckpointError, match=r"cannot be saved: (training\['a'\]\[0\]|its tr)"):
        rnvp_deploy.save(RNVP(SMALL), tmp_path / "m.pt", training={"a": [value]})
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own modules
@pytest.mark.parametrize(
    "wrap",
    [
        torch.compile,
        nn.DataParallel,
        torch.optim.swa_utils.AveragedModel,
        lambda flow: nn.DataParallel(torch.compile(flow)),  # type: ignore[type-var]
    ],
)
def test_a_wrapped_flow_is_unwrapped(wrap: Callable[[RNVP], Any], tmp_path: Path) -> None:
    """A flow of torch.compile or DataParallel is trained and saved as the flow inside."""
    wrapped = wrap(RNVP(SMALL))
    training = fit(wrapped, X, options=TrainingOptions(1, 64))
    rnvp_deploy.save(wrapped, tmp_path / "model.pt", training=training.record)
    back = rnvp_deploy.load(tmp_path / "model.pt")
    assert training.record["weights"].keys() == back.state_dict().keys()
    assert same_outputs(back, unwrapped(wrapped))


def test_layers_may_share_a_weight(tmp_path: Path) -> None:
    """A weight that two layers share is stored twice, and the flow comes back with its values."""
    flow = lively(SMALL)
    first, second = (flow.transforms[i].joint_net.layers[0] for i in (1, 2))
    second.weight = first.weight
    rnvp_deploy.save(flow, tmp_path / "model.pt")
    x = torch.randn(5, 2, dtype=torch.float64)
    assert torch.equal(rnvp_deploy.load(tmp_path / "model.pt").log_prob(x), flow.log_prob(x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", CHANGES)
def test_a_flow_that_is_not_what_its_spec_builds_is_refused(change: str, tmp_path: Path) -> None:
    """It would come back as another flow or not at all: one line says why, before writing."""
    make, said = CHANGES[change]
    flow = RNVP(SMALL)
    made = make(flow)
    replaced = isinstance(made, RNVP | torch.jit.ScriptModule)  # else it was changed in place
    with pytest.raises(CheckpointError, match=said) as caught:
        rnvp_deploy.save(made if replaced else flow, tmp_path / "model.pt")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_saving_draws_no_random_numbers(tmp_path: Path) -> None:
    """The check of a flow leaves PyTorch's own generator as it was."""
    flow = RNVP(SMALL)
    before = torch.get_rng_state()
    rnvp_deploy.save(flow, tmp_path / "model.pt")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_subclass_with_methods_of_its_own_is_saved(tmp_path: Path) -> None:
    """A subclass that overrides nothing computes what RNVP computes."""

    class Mine(RNVP):
        def __init__(self) -> None:
            super().__init__(SMALL)

        def loss(self, x: Tensor) -> Tensor:
            return -self.log_prob(x).mean()

    rnvp_deploy.save(Mine(), tmp_path / "model.pt")
    assert same_outputs(RNVP(SMALL), RNVP(SMALL)) is False
    assert type(rnvp_deploy.load(tmp_path / "model.pt")) is RNVP


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RNVPConfig("2"), "dim is '2'; expected an integer"),  # type: ignore[arg-type]
        (lambda: RNVPConfig(2.0), "dim is 2.0; expected an integer"),  # type: ignore[arg-type]
        (lambda: RNVPConfig(2, hidden=8), "hidden is 8; expected a tuple of integers"),  # type: ignore[arg-type]
        (lambda: RNVPConfig(2, actnorm=1), "actnorm is 1; expected True or False"),  # type: ignore[arg-type]
        (lambda: RNVPConfig(2, split="a"), "split is 'a'; expected an integer or None"),  # type: ignore[arg-type]
        (lambda: RNVPConfig(2, elementwise=(3, 4)), "expected a tuple of ColumnMap"),  # type: ignore[arg-type]
        (lambda: ColumnMap("log", "0"), "low is '0'; expected a number"),  # type: ignore[arg-type]
        (lambda: FlowSpec("2"), "dim is '2'; expected an integer"),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_another_type_is_refused(make: Callable[[], Any], said: str) -> None:
    """The error names the field, what was found and what was expected."""
    with pytest.raises(ConfigError, match=said):
        make()
