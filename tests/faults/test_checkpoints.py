"""A damaged or hostile checkpoint is refused: it runs no code and does not fill the memory."""

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import rnvp_deploy
from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.checkpoint import read, read_training
from rnvp_deploy.conversion.state_files import read_weights_file
from rnvp_deploy.errors import CheckpointError, ConversionError
from tests.faults.fuzzing import CHECKPOINT, measured

Alter = Callable[[dict[str, Any]], Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A valid checkpoint."""
    path = tmp_path / "model.pt"
    rnvp_deploy.save(RNVP(RNVPConfig(2, context_dim=1, couplings=2, hidden=(8,))), path)
    return path


def refusal(path: Path) -> str:
    """The one-line error of each reader for a file."""
    for reader in (read, rnvp_deploy.load):
        with pytest.raises(CheckpointError) as error:
            reader(path)
        assert "\n" not in str(error.value)
    return str(error.value)


def members(path: Path) -> dict[str, bytes]:
    """The members of an archive, by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_one_reading_gives_flow_record_and_hash(path: Path) -> None:
    """All three come from one read, so they belong to the same file."""
    found = read(path)
    assert found.training == read_training(path)
    assert found.flow.spec == rnvp_deploy.load(path).spec
    assert len(found.sha256) == 64


def test_every_flipped_bit_of_a_weight_is_found(path: Path) -> None:
    """The error names the member of the archive."""
    whole = path.read_bytes()
    name = next(n for n, content in members(path).items() if "/data/" in n and len(content) > 50)
    content = members(path)[name]
    at = whole.index(content)
    for i in range(0, len(content), 7):
        path.write_bytes(whole[: at + i] + bytes([whole[at + i] ^ 16]) + whole[at + i + 1 :])
        assert name in refusal(path)


def test_any_damage_is_found_or_harmless(path: Path) -> None:
    """A changed byte in a header or in padding may be accepted, but no weight may change."""
    whole, state = path.read_bytes(), rnvp_deploy.load(path).state_dict()
    for at in range(0, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            found = rnvp_deploy.load(path).state_dict()
        except CheckpointError:
            continue
        assert all(torch.equal(found[key], state[key]) for key in state)


def _central_directory(path: Path) -> Iterator[tuple[bytes, int]]:
    """The file, and where each of the headers begins that say where its members are."""
    whole, at = path.read_bytes(), -1
    while (at := whole.find(b"PK\x01\x02", at + 1)) >= 0:
        yield whole, at


@pytest.mark.parametrize("field", range(46))
@pytest.mark.parametrize("value", [0, 0x10, 0xFF])
def test_a_header_that_readers_of_archives_understand_differently(
    path: Path, field: int, value: int
) -> None:
    """PyTorch gets the members that were checked, whatever a header says.

    For one bit of the attributes, PyTorch's own reader takes a member for a folder and reads
    nothing.
    """
    state = rnvp_deploy.load(path).state_dict()
    for whole, at in list(_central_directory(path)):
        path.write_bytes(whole[: at + field] + bytes([value]) + whole[at + field + 1 :])
        try:
            found = rnvp_deploy.load(path).state_dict()
        except CheckpointError:
            continue
        assert all(torch.equal(found[key], state[key]) for key in state)


def test_the_weights_of_rnvp_import_are_checked_too(path: Path) -> None:
    """A flipped bit in a file of ``torch.save`` is refused, and names the member."""
    torch.save({"weight": torch.ones(100)}, path)
    assert torch.equal(read_weights_file(path)["weight"], torch.ones(100))
    whole = path.read_bytes()
    at = whole.index(members(path)[next(n for n in members(path) if n.endswith("data/0"))])
    path.write_bytes(whole[:at] + b"\x01" + whole[at + 1 :])
    with pytest.raises(ConversionError, match=r"damaged.*data/0"):
        read_weights_file(path)


def _deflated(path: Path) -> None:
    kept = members(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in kept.items():
            archive.writestr(name, content)


def _bomb(path: Path) -> None:
    kept = members(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in kept.items():
            archive.writestr(name, bytes(100_000_000) if name.endswith("data/0") else content)


def _twice(path: Path) -> None:
    kept = members(path)
    name = next(name for name in kept if name.endswith("data/0"))
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, kept[name])


def _script(path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)


def _claims_more(path: Path) -> None:
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")  # where the central directory begins; it holds the sizes
    content[at + 20 : at + 28] = (b"\xff\xff\xff\x7f") * 2
    path.write_bytes(content)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_deflated, "is compressed or encrypted"),
        (_bomb, "is compressed or encrypted"),
        (_twice, "two of its members have one name"),
        (_script, "it is a TorchScript program"),
        (_claims_more, "longer than the file"),
    ],
)
def test_an_archive_that_pytorch_does_not_write_is_refused(
    path: Path, harm: Callable[[Path], None], said: str
) -> None:
    """The archive is refused before PyTorch opens it."""
    harm(path)
    assert said in refusal(path)


def _shared() -> Any:
    inner: Any = ["x"]
    for _ in range(22):
        inner = [inner, inner]
    return inner


def _nested() -> Any:
    inner: Any = []
    for _ in range(150):  # torch.save is recursive, so the depth is limited
        inner = [inner]
    return inner


def _endless() -> Any:
    inner: list[Any] = []
    inner.append(inner)
    return inner


def _first_network(content: dict[str, Any]) -> Any:
    coupling = next(t for t in content["flow"]["transforms"] if t["kind"] == "CouplingSpec")
    return coupling["networks"][0][1]


def _wide(content: dict[str, Any]) -> None:
    steps = _first_network(content)
    steps[0]["outputs"] = steps[-1]["inputs"] = 30_000
    steps.insert(1, {"kind": "Dense", "inputs": 30_000, "outputs": 30_000})


def _coupling(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(
        t for t in content["flow"]["transforms"] if t["kind"] == "CouplingSpec"
    )
    return found


def _weights(change: Callable[[torch.Tensor], Any]) -> Alter:
    def alter(content: dict[str, Any]) -> None:
        state = content["state_dict"]
        content["state_dict"] = {name: change(tensor) for name, tensor in state.items()}

    return alter


def _one_storage(content: dict[str, Any]) -> None:
    numbers = torch.zeros(1000)
    content["state_dict"] = {f"weight {i}": numbers.view(10, 100) for i in range(50)}


DESCRIPTIONS: dict[str, tuple[Alter, str]] = {
    "a layer of 30,000 x 30,000": (_wide, "its flow needs 9"),
    "a linear of 100,000 columns": (
        lambda c: c["flow"].update(
            dim=100_000, context_dim=0, transforms=[{"kind": "LinearSpec", "dim": 100_000}]
        ),
        "its flow needs 10,000,000,000",
    ),
    "a context of 10^9 columns": (
        lambda c: c["flow"].update(context_dim=10**9, standardise_context=True),
        "",
    ),
    "a size of 400 digits": (lambda c: _first_network(c)[0].update(outputs=10**400), ""),
    "lists that share lists": (lambda c: c["flow"].update(dim=_shared()), "more than the file"),
    "shared lists for columns": (lambda c: c.update(columns=_shared()), "more than the file"),
    "lists in lists": (lambda c: c["flow"].update(dim=_nested()), "nested more than 64 deep"),
    "a list that holds itself": (lambda c: c.update(columns=_endless()), "nested|more than"),
    "a tensor in the description": (
        lambda c: c["flow"].update(dim=torch.tensor(2)), "holds a Tensor"
    ),
    "a tensor for a version": (lambda c: c.update(version=torch.tensor(2)), "of version tensor"),
    "true for a version": (lambda c: c.update(version=True), "of version True"),
    "a tensor for a format": (lambda c: c.update(format=torch.zeros(2)), "is a state dict"),
    "no scale": (lambda c: _coupling(c)["map"].update(scale=None), "its scale is None"),
    "a scale in words": (lambda c: _coupling(c)["map"].update(scale="tanh"), "its scale is 'tanh'"),
    "a bound in words": (lambda c: _coupling(c)["map"]["scale"].update(bound="1"), "damaged"),
    "a map that is a scale": (
        lambda c: _coupling(c).update(map={"kind": "Tanh", "bound": 1.0, "width": 1.0}), "damaged"
    ),
    "a fraction of a column": (lambda c: _coupling(c).update(passive=[0.0]), "damaged"),
    "true for a size": (lambda c: c["flow"].update(context_dim=True), "context_dim is True"),
    "a step that is a transform": (
        lambda c: _first_network(c).append({"kind": "LinearSpec", "dim": 2}), "damaged"
    ),
    "float16": (_weights(lambda t: t.half()), "is torch.float16, expected float32"),
    "complex weights": (_weights(lambda t: t.to(torch.complex64)), "is torch.complex64"),
    "sparse weights": (_weights(lambda t: t.to_sparse()), "not an ordinary tensor"),
    "weights without numbers": (_weights(lambda t: t.to("meta")), "not an ordinary tensor"),
    "one number for a whole weight": (
        _weights(lambda t: torch.zeros(1).expand(10_000, *t.shape)), "larger than the file"
    ),
    "many weights in one storage": (_one_storage, "larger than the file"),
    "text among the weights": (_weights(lambda t: "x"), "which is not a tensor"),
    "numbers for names": (
        lambda c: c.update(state_dict=dict(enumerate(c["state_dict"].values()))), "not a tensor"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", DESCRIPTIONS)
def test_a_description_that_does_not_fit_is_refused(fault: str, path: Path) -> None:
    """The reader refuses it before it builds a flow, so memory stays near the file's size."""
    alter, said = DESCRIPTIONS[fault]
    content = torch.load(path, weights_only=True)
    alter(content)
    torch.save(content, path)
    found = measured(lambda _: refusal(path), path.read_bytes())
    assert any(words in found for words in said.split("|")), found


@pytest.mark.parametrize(
    "change",
    [
        {"couplings": 100_000}, {"couplings": 10**12}, {"hidden": [30_000, 30_000]},
        {"dim": 10**9}, {"context_dim": 10**9}, {"couplings": "8"}, {"hidden": [10**500]},
        {"hidden": None}, {"scale": None}, {"elementwise": 3}, {"mixing": ["permute"]},
    ],
)  # fmt: skip
def test_a_recipe_of_version_1_that_does_not_fit_is_refused(
    change: dict[str, Any], path: Path
) -> None:
    """Version 1 stored the sizes from which the transforms are built."""
    content = torch.load(CHECKPOINT, weights_only=True)
    content["config"].update(change)
    torch.save(content, path)
    refusal(path)


def test_a_pickle_outside_an_archive_is_not_opened(path: Path) -> None:
    """PyTorch wrote such files before version 1.6."""
    content = torch.load(path, weights_only=True)
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    path.write_bytes(buffer.getvalue())
    assert "could run code" in refusal(path)
