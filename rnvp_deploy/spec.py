"""The description of a flow without its weights: the list of its transforms."""

from dataclasses import dataclass

from rnvp_deploy.errors import ConfigError
from rnvp_deploy.field_types import refuse_mistyped
from rnvp_deploy.networks import width_after
from rnvp_deploy.plain_values import make_plain
from rnvp_deploy.transforms import (
    CouplingSpec,
    DiagonalAffineSpec,
    ElementwiseSpec,
    LinearSpec,
    PermutationSpec,
    TransformSpec,
)

__all__ = ["FlowSpec"]


@dataclass(frozen=True)
class FlowSpec:
    """The transforms of a flow, in the direction data → latent. A checkpoint stores it.

    dim:                  d, the number of coordinates.
    context_dim:          c, the number of conditions; 0 for an unconditional flow.
    transforms:           the description of each transform.
    standardise_context:  the context is standardised, from data, before any transform reads it.

    Raises:
        ConfigError: a transform or one of its networks does not fit; the message names it.
    """

    dim: int
    context_dim: int = 0
    transforms: tuple[TransformSpec, ...] = ()
    standardise_context: bool = False

    def __post_init__(self) -> None:
        make_plain(self)
        refuse_mistyped(self, ConfigError, ("dim", "context_dim", "standardise_context"))
        if self.dim < 1:
            raise ConfigError(f"dim is {self.dim}; expected at least 1")
        if self.context_dim < 0:
            raise ConfigError(f"context_dim is {self.context_dim}; expected 0 or more")
        if not self.transforms:
            raise ConfigError("a flow needs at least one transform")
        for i, transform in enumerate(self.transforms):
            try:
                _check(transform, self.dim, self.context_dim)
                if i and isinstance(transform, ElementwiseSpec):
                    raise ConfigError("it maps the columns of the data, so it must come first")
            except ConfigError as error:
                raise ConfigError(f"transform {i}: {error}") from None


def _check(transform: TransformSpec, dim: int, context_dim: int) -> None:
    kinds = (CouplingSpec, DiagonalAffineSpec, ElementwiseSpec, LinearSpec, PermutationSpec)
    if not isinstance(transform, kinds):
        raise ConfigError(f"{transform!r} is not the description of a transform")
    if transform.dim != dim:
        raise ConfigError(f"it is of {transform.dim} coordinates; the flow has {dim}")
    if not isinstance(transform, CouplingSpec):
        return
    if transform.context_dim not in (0, context_dim):
        raise ConfigError(
            f"it reads {transform.context_dim} conditions; the flow has {context_dim}"
        )
    for name, steps in transform.networks:
        outputs = width_after(steps, transform.inputs, context_dim)
        if outputs != (expected := transform.outputs(name)):
            raise ConfigError(f"its network {name} has {outputs} outputs; expected {expected}")
