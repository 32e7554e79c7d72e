"""Load weights from a file into a model, with a diagnosis if they do not fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from rnvp_deploy.conversion.state_files import (
    StateDict,
    describe_entries,
    read_weights_file,
    state_dicts,
)
from rnvp_deploy.errors import ConversionError

__all__ = ["load_weights"]

_USUAL = ("", "state_dict", "model_state_dict", "model")
"""Entries that are preferred, in this order, if several entries fit the model."""

_COUNTERS = {"n_averaged"}
"""Entries that torch's wrappers store beside the weights of the module in them."""


@dataclass(frozen=True)
class _Fit:
    """A state dict of the file, without ``prefix`` in its keys, compared with a model."""

    model: nn.Module
    source: StateDict
    prefix: str
    state: dict[str, Tensor]
    dropped: tuple[str, ...]  # keys that do not begin with the prefix
    missing: tuple[str, ...]  # keys of the model alone
    unexpected: tuple[str, ...]  # keys of the file alone
    shapes: tuple[str, ...]  # keys whose tensors differ in shape

    @property
    def misfits(self) -> int:
        return len(self.missing + self.unexpected + self.shapes + self.dropped)


def load_weights(models: Sequence[nn.Module], path: Path) -> list[str]:
    """Load the state dict in the file into the first of ``models`` that it fits.

    The state dict may be an entry of a training checkpoint, at any key. A prefix that all its
    keys have, such as ``module.``, is dropped if that makes all keys fit.

    Args:
        models: a model, then the flow inside it.
        path: a file that torch.save wrote.

    Returns:
        A sentence for each thing that was done beyond loading the file as it is.

    Raises:
        ConversionError: in one line, why the file's weights do not fit.
    """
    content = read_weights_file(path)
    if isinstance(content, dict) and content.get("format") == "rnvp-deploy":
        raise ConversionError(
            f"{path} is a checkpoint of rnvp-deploy, already converted; export it: "
            f"rnvp-export {path}"
        )
    if isinstance(content, nn.Module):
        raise ConversionError(f"{path} holds a whole model; save flow.state_dict() instead")
    states = sorted(state_dicts(content), key=_preference)
    if not states:
        raise ConversionError(f"{path} holds no state dict; it holds {describe_entries(content)}")
    fits = [fit for model in models for state in states for fit in _fits(model, state)]
    loaded = next((fit for fit in fits if fit.misfits == 0 and _load(fit)), None)
    if loaded is None:
        # Some modules load what their own state_dict() does not list.
        loaded = next((fit for fit in fits if not fit.dropped and _load(fit)), None)
    if loaded is None:
        among = "" if states[-1].entry == "" else f". The file holds {describe_entries(content)}"
        raise ConversionError(
            f"the weights in {path} do not fit the model: {_diagnosis(fits)}{among}"
        )
    others = sorted({fit.source.entry for fit in fits if fit.misfits == 0} - {loaded.source.entry})
    if others and loaded.source.entry not in _USUAL:
        raise ConversionError(
            f"several entries of {path} fit the model: {loaded.source.entry}, {', '.join(others)}; "
            "save the one that you mean: torch.save(checkpoint[entry], path)"
        )
    return [*_notes(loaded, path), *(f"The entry {other!r} fits too." for other in others)]


def _preference(state: StateDict) -> int:
    return _USUAL.index(state.entry) if state.entry in _USUAL else len(_USUAL)


def _fits(model: nn.Module, source: StateDict) -> Iterator[_Fit]:
    """The state dict as it is, and without each prefix that makes one of its keys the model's."""
    expected, state = model.state_dict(), source.tensors
    longest = max(expected, key=len, default="")
    ends = [key.removesuffix(longest) for key in state if key.endswith(longest)]
    for prefix in dict.fromkeys(["", *(end for end in ends if end.endswith("."))]):
        kept = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
        both = [key for key in kept if key in expected]
        yield _Fit(
            model,
            source,
            prefix,
            kept,
            tuple(k for k in state if not k.startswith(prefix) and k not in _COUNTERS),
            tuple(key for key in expected if key not in kept),
            tuple(key for key in kept if key not in expected),
            tuple(key for key in both if kept[key].shape != expected[key].shape),
        )


def _load(fit: _Fit) -> bool:
    try:
        fit.model.load_state_dict(fit.state)
    except Exception:  # RuntimeError from torch, anything from a user's own load_state_dict
        return False
    return True


def _diagnosis(fits: Sequence[_Fit]) -> str:
    """Why the state dict that comes closest does not fit."""
    fit = min(fits, key=lambda fit: fit.misfits)
    expected = fit.model.state_dict()
    where = f"its entry {fit.source.entry!r}: " if fit.source.entry else ""
    if fit.prefix:
        where += f"without the prefix `{fit.prefix}` of its keys, "
    if len(fit.missing) == len(expected):
        return (
            f"{where}none of its keys, such as `{next(iter(fit.state), '')}`, is one of the "
            f"model's, such as `{next(iter(expected), '')}`"
        )
    found = []
    if fit.shapes:
        key = fit.shapes[0]
        found.append(
            f"`{key}` has shape {tuple(fit.state[key].shape)} in the file and "
            f"{tuple(expected[key].shape)} in the model{_and_more(fit.shapes)}"
        )
    if fit.missing:
        found.append(
            f"it lacks {len(fit.missing)} of the model's {len(expected)} keys, such as "
            f"`{fit.missing[0]}`"
        )
    if extra := (*fit.unexpected, *fit.dropped):
        found.append(f"it has {len(extra)} keys that the model lacks, such as `{extra[0]}`")
    if fit.dropped and not fit.missing and not fit.shapes:
        found.append("return the whole model from the factory, or save flow.state_dict() alone")
    return where + "; ".join(found)


def _and_more(keys: Sequence[str]) -> str:
    return f", and {len(keys) - 1} more differ" if len(keys) > 1 else ""


def _notes(fit: _Fit, path: Path) -> Iterator[str]:
    if fit.source.entry:
        yield f"The weights are the entry {fit.source.entry!r} of {path}."
    if fit.prefix:
        yield f"The keys in {path} begin with `{fit.prefix}`, the model's do not: it was dropped."
    if ignored := fit.source.ignored:
        yield f"Ignored, because they are not weights: {', '.join(ignored[:5])}."
