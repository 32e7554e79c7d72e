"""Find the flow in the object that a user gives, and the reader of its library.

A flow may be given in a wrapper that changes nothing (DataParallel, the module that torch.compile
returns), in a list, or in a trainer or a module that holds it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from rnvp_deploy.conversion.readers import READERS
from rnvp_deploy.conversion.refusal import LayerError, refusal, type_names
from rnvp_deploy.conversion.source import Reader
from rnvp_deploy.flow import RNVP
from rnvp_deploy.wrappers import WRAPPERS

__all__ = ["FoundFlow", "find_flow", "parts_of", "unwrap"]

_DEPTH = 3  # of objects within objects, in which a flow is looked for
_TOOLS = ("torch.optim", "torch.utils.data")  # these refer to a model without being part of it


@dataclass(frozen=True)
class FoundFlow:
    """A flow inside what was given.

    flow:    the model that its library's reader reads.
    reader:  of its library.
    path:    of the flow in what was given; empty if it was given itself.
    holders: the objects that hold it, outermost first; each may do more than the flow. Wrappers
             that change nothing are left out.
    """

    flow: nn.Module
    reader: Reader
    path: str = ""
    holders: tuple[Any, ...] = ()


def find_flow(given: Any, library: str | None = None) -> FoundFlow:
    """The flow that ``given`` is or holds.

    Args:
        given: a model, or what holds one.
        library: a key of ``READERS``; by default, the library in which the model's type is
            defined.

    Raises:
        ConversionError: it is not a flow of a known library and holds none, or holds several.
    """
    _refuse_other_things(given)
    thing, path = unwrap(given)
    reader = READERS[library] if library else _reader_of(thing)
    if reader is not None and reader.is_flow(thing):
        return FoundFlow(_module(thing), reader, path)
    inside: dict[int, FoundFlow] = {}
    for found in _flows_in(thing, path, library, _DEPTH):
        inside.setdefault(id(found.flow), found)
    if len(inside) == 1:
        return next(iter(inside.values()))
    if inside:
        paths = ", ".join(repr(found.path) for found in inside.values())
        raise refusal("", f"it holds {len(inside)} flows: {paths}; give the one to convert")
    if reader is not None:  # its own refusal says what is missing
        return FoundFlow(_module(thing), reader, path)
    raise refusal("", f"a {_type(given)} is not a flow of {_libraries()}")


def unwrap(thing: Any, path: str = "") -> tuple[Any, str]:
    """The object inside wrappers and holders of a library, and its path."""
    holders = {kind: name for reader in READERS.values() for kind, name in reader.holders.items()}
    for kind in type_names(thing):
        if name := (WRAPPERS | holders).get(kind):
            inner = getattr(thing, name)
            if inner is None:
                raise refusal(
                    "",
                    f"the {type(thing).__name__} holds no flow yet (its {name!r} is None); "
                    "initialise and train it first",
                )
            return unwrap(inner, _join(path, name))
    return thing, path


def _flows_in(thing: Any, path: str, library: str | None, depth: int) -> Iterator[FoundFlow]:
    """The flows that ``thing`` holds, outermost first."""
    for name, value in parts_of(thing):
        child, child_path = unwrap(value, _join(path, name))
        reader = READERS[library] if library else _reader_of(child)
        if isinstance(child, nn.Module) and reader is not None and reader.is_flow(child):
            yield FoundFlow(child, reader, child_path, (thing,))
        elif depth > 1:
            for found in _flows_in(child, child_path, library, depth - 1):
                yield FoundFlow(found.flow, found.reader, found.path, (thing, *found.holders))


def parts_of(thing: Any) -> Iterator[tuple[str, Any]]:
    """The named parts of a container, a module or an object; nothing of other values."""
    if isinstance(thing, list | tuple):
        yield from ((str(i), value) for i, value in enumerate(thing))
    elif isinstance(thing, Mapping):
        yield from ((str(key), value) for key, value in thing.items())
    elif not isinstance(thing, type | ModuleType | Tensor) and not type(
        thing
    ).__module__.startswith(_TOOLS):
        if isinstance(thing, nn.Module):
            yield from (*thing._modules.items(), *thing._parameters.items())
            yield from thing._buffers.items()
        for name, value in getattr(thing, "__dict__", {}).items():
            if not name.startswith("_") or isinstance(value, Tensor):
                yield name, value


def _reader_of(thing: object) -> Reader | None:
    """The reader of the library in which the type of ``thing``, or a base of it, is defined."""
    for kind in type_names(thing):
        library, _, _ = kind.partition(".")
        if (reader := READERS.get(library.lower())) and reader.library == library:
            return reader
    return next((r for r in READERS.values() if r.title and r.is_flow(thing)), None)


def _module(thing: Any) -> nn.Module:
    if isinstance(thing, nn.Module):
        return thing
    raise refusal("", f"a {type(thing).__name__} is not a model; give the flow itself")


def _refuse_other_things(given: Any) -> None:
    """Refuse objects that are often given by mistake; the message says what was meant."""
    if isinstance(given, RNVP):
        raise refusal(
            "", "it is a flow of rnvp-deploy already: rnvp_deploy.save(flow, 'model.pt') stores it"
        )
    if "torch.ScriptModule" in type_names(given):
        raise refusal(
            "", "a TorchScript module has no scale functions to read; give the model it was made of"
        )
    if isinstance(given, type) or (callable(given) and not isinstance(given, nn.Module)):
        name = getattr(given, "__name__", type(given).__name__)
        raise _not_a_model(f"{name} is a class or a function; call it, and give what it returns")
    if isinstance(given, Mapping) and any(isinstance(part, Tensor) for part in given.values()):
        raise _not_a_model(
            "a state dict has the weights alone; build the model, load them with "
            "load_state_dict, and give the model"
        )
    if isinstance(given, str | bytes) or hasattr(given, "__fspath__"):
        raise _not_a_model(
            f"{given!r} is a path; give the live model, or use rnvp-import mymodule.py:make_flow "
            "--weights PATH"
        )


def _not_a_model(reason: str) -> LayerError:
    return refusal("", reason)


def _libraries() -> str:
    named = sorted(reader.library for reader in READERS.values() if not reader.title)
    titled = [reader.title for reader in READERS.values() if reader.title]
    return ", or ".join([", ".join(named), *titled])


def _type(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__name__}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
