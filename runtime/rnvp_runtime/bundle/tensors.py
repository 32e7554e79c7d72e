"""The inputs and outputs of a bundle's graphs."""

from dataclasses import dataclass, replace
from typing import Self

__all__ = ["TensorSpec", "graph_tensors", "in_words"]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph."""

    name: str
    dtype: str  # numpy's name: "float32", "float64", "int64"
    shape: tuple[int | str, ...]  # a symbolic axis is its name, e.g. ("n", 2); () is a scalar

    def with_row_axis(self) -> Self:
        """The same tensor; a symbolic first axis is called "n"."""
        symbolic = bool(self.shape) and isinstance(self.shape[0], str)
        return replace(self, shape=("n", *self.shape[1:])) if symbolic else self


_OF_ROWS = (("x", 2), ("z", 2), ("log_prob", 1))


def graph_tensors(
    graph: str, dim: int, context_dim: int, dtype: str
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]] | None:
    """The inputs and outputs of ``graph``, its row axis called "n"; None for an unknown graph."""
    x, z, log_prob = (TensorSpec(name, dtype, ("n", dim)[:axes]) for name, axes in _OF_ROWS)
    context = (TensorSpec("context", dtype, ("n", context_dim)),) if context_dim else ()
    if graph == "density":
        return (x, *context), (log_prob, z)
    if graph == "inverse":
        return (z, *context), (x, log_prob)
    if graph == "sampler":
        scalars = [TensorSpec(name, "int64", ()) for name in ("seed", "start", "count")]
        return (*scalars, TensorSpec("temperature", dtype, ()), *context), (x, log_prob)
    if graph == "gradient":
        by_x = TensorSpec("grad_x", dtype, ("n", dim))
        by_context = tuple(TensorSpec("grad_context", dtype, spec.shape) for spec in context)
        return (x, *context), (log_prob, by_x, *by_context)
    return None


def in_words(specs: tuple[TensorSpec, ...]) -> str:
    """The names, dtypes and shapes of ``specs`` in one printable line."""
    text = ", ".join(
        f"{spec.name[:40]} {spec.dtype[:20]} ({', '.join(str(n)[:20] for n in spec.shape[:8])})"
        for spec in specs[:8]
    )
    return text if text.isprintable() else ascii(text)
