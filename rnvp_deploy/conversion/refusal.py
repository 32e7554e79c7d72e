"""Messages for a model that cannot be converted: one line with the layer, the fact, the remedy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from rnvp_deploy.errors import ConversionError

__all__ = ["LayerError", "describe_error", "located", "refusal", "refusing", "type_names"]

P = ParamSpec("P")
T = TypeVar("T")


class LayerError(ConversionError):
    """A refusal of the layer at ``path`` of a model; an empty path is the model itself."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path or 'the model'}: {reason}")
        self.path, self.reason = path, reason

    def below(self, path: str) -> "LayerError":
        """The same refusal, for a model that is itself at ``path`` of what was given."""
        return LayerError(".".join(part for part in (path, self.path) if part), self.reason)


def refusal(path: str, reason: str) -> LayerError:
    """The error to raise for the layer at ``path`` of the model (empty: the model itself)."""
    return LayerError(path, reason)


def describe_error(error: BaseException) -> str:
    """The type and the first line of an error."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


@contextmanager
def refusing(path: str, doing: str) -> Iterator[None]:
    """Turn any error of the source's code into a refusal of the layer at ``path``.

    Args:
        path: of the layer whose code runs.
        doing: what fails, as the beginning of a sentence: "its forward fails".
    """
    try:
        yield
    except ConversionError:
        raise
    except Exception as error:  # another library's code raises errors of any type
        raise refusal(path, f"{doing}: {describe_error(error)}") from None


def located(read: Callable[P, T]) -> Callable[P, T]:
    """Decorate ``read(module, path, …)``: an unexpected error in it names ``path``."""

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        module, path, *_ = args
        with refusing(str(path), f"its {type(module).__name__} could not be read"):
            return read(*args, **kwargs)

    return reading


def type_names(thing: object) -> list[str]:
    """``library.Class`` for each class that ``thing`` derives from, most specific first.

    No library is imported. The copy of nflows inside glasflow counts as nflows.
    """
    return [f"{_library(cls.__module__)}.{cls.__name__}" for cls in type(thing).__mro__]


def _library(module: str) -> str:
    first, *rest = module.split(".")
    return "nflows" if first == "glasflow" and rest[:1] == ["nflows"] else first
