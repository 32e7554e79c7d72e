"""The flow: a stack of transforms to a standard normal."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from rnvp_deploy.config import RNVPConfig
from rnvp_deploy.errors import ConfigError
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import DiagonalAffine, DiagonalAffineSpec, Elementwise, Transform, build
from rnvp_runtime.errors import InputError

__all__ = ["RNVP"]


class RNVP(nn.Module):
    r"""A real-valued non-volume-preserving flow f: R^d → R^d, x ↦ z.

        log p(x) = log |det df/dx| + log N(f(x); 0, 1)

    Dinh, Sohl-Dickstein and Bengio, *Density estimation using Real NVP*, ICLR 2017. The base is
    a standard normal; a diagonal Gaussian base is that plus a ``DiagonalAffine`` at the end.

    Args:
        config: a recipe, or the transforms one by one.
        columns: d names of the coordinates, as in the user's table.
        context_columns: c names of the conditions.

    Raises:
        ConfigError: the number of names is not the number of columns, or two names are equal.

    Example:
        >>> flow = RNVP(RNVPConfig(dim=2))
        >>> z, log_pz, log_jacob = flow(torch.randn(5, 2))
        >>> loss = -(log_jacob + log_pz).mean()
        >>> flow.inverse(z).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        config: RNVPConfig | FlowSpec,
        columns: tuple[str, ...] | None = None,
        context_columns: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        self.spec: FlowSpec = config if isinstance(config, FlowSpec) else config.spec()
        self.columns = _names(columns, self.dim, "x")
        self.context_columns = _names(context_columns, self.context_dim, "c")
        taken = set(self.columns)
        if repeated := [name for name in self.context_columns if name in taken]:
            raise ConfigError(f"two columns are called {repeated[0]!r}; expected different names")
        self.transforms: nn.ModuleList = nn.ModuleList(map(build, self.spec.transforms))
        self.context_scaling: DiagonalAffine | None = None
        if self.spec.standardise_context:
            scaling = DiagonalAffineSpec(self.context_dim, from_data=True, trainable=False)
            self.context_scaling = DiagonalAffine(scaling)
        if not any(tensor.is_floating_point() for tensor in self._tensors()):
            # A flow of permutations has no weights, and becomes float64 by double() all the same.
            self.register_buffer("_dtype_holder", torch.zeros(()), persistent=False)

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return self.spec.dim

    @property
    def context_dim(self) -> int:
        """c, the number of conditions; 0 if there are none."""
        return self.spec.context_dim

    @property
    def elementwise(self) -> Elementwise | None:
        """The maps of the columns, which is the first transform; None if there are none."""
        first = self.transforms[0]
        return first if isinstance(first, Elementwise) else None

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, or the one that a flow without weights was converted to."""
        return next(tensor.dtype for tensor in self._tensors() if tensor.is_floating_point())

    def _tensors(self) -> Iterator[Tensor]:
        yield from self.parameters()
        yield from self.buffers()

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """x (n, d), context (n, c) → z (n, d), log p_Z(z) (n,), log |det dz/dx| (n,), in nats.

        Raises:
            InputError: x or the context is not of that shape.
        """
        self._check_rows("x", x, context)
        context = self.standardised(context)
        log_jacob = x.new_zeros(len(x))
        z = x
        for transform in self.transforms:
            z, log_det = transform(z, context)
            log_jacob = log_jacob + log_det
        return z, self.log_base(z), log_jacob

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """z (n, d), context (n, c) → the x (n, d) with f(x) = z.

        Raises:
            InputError: z or the context is not of that shape.
        """
        self._check_rows("z", z, context)
        context = self.standardised(context)
        x = z
        for transform in reversed(self.transforms):
            assert isinstance(transform, Transform)
            x = transform.inverse(x, context)
        return x

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x | context): (n,), in nats."""
        log_pz: Tensor
        log_jacob: Tensor
        _, log_pz, log_jacob = self(x, context)
        return log_pz + log_jacob

    def log_base(self, z: Tensor) -> Tensor:
        """log N(z; 0, 1): (n, d) → (n,), in nats."""
        return -0.5 * (z * z).sum(-1) - 0.5 * self.dim * math.log(2 * math.pi)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        seed: int,
        start: int = 0,
        temperature: float = 1.0,
        context: Tensor | None = None,
    ) -> Tensor:
        """Rows start … start + n − 1 of the sample stream of ``seed``: (n, d).

        A deployed sampler draws the same rows, up to rounding. ``temperature`` multiplies the
        latent; ``context`` is (n, c).

        Raises:
            InputError: ``temperature`` is negative or not finite, or the context is not (n, c).
        """
        from rnvp_runtime.stream import normals

        if not 0 <= temperature <= torch.finfo(self.dtype).max:
            raise InputError(f"temperature is {temperature}, expected a finite number, 0 or more")
        dtype = np.float64 if self.dtype == torch.float64 else np.float32
        noise = torch.from_numpy(normals(seed, start, n, self.dim, dtype))
        return self.inverse(noise * temperature, context)

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set standardisation and ActNorm from x (n, d) and context (n, c), in order."""
        self._check_rows("x", x, context)
        if context is not None and self.context_scaling is not None:
            self.context_scaling.initialise(context)
        context = self.standardised(context)
        for transform in self.transforms:
            assert isinstance(transform, Transform)
            transform.initialise(x)
            x, _ = transform(x, context)

    def standardised(self, context: Tensor | None) -> Tensor | None:
        """The context (n, c) that the transforms read. ConfigError if it is not c columns wide."""
        given = context.shape[-1] if context is not None and context.ndim else 0
        if given != self.context_dim:
            raise ConfigError(
                f"this flow takes {self.context_dim} context columns; {given} were given"
            )
        if context is None or self.context_scaling is None:
            return context
        scaled, _ = self.context_scaling(context)
        return scaled  # type: ignore[no-any-return]

    def _check_rows(self, name: str, rows: Tensor, context: Tensor | None) -> None:
        """Refuse rows or a context that PyTorch would broadcast, or could not use.

        In a trace nothing is refused: shapes are tensors there.
        """
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return
        for label, given, width in (
            (name, rows, self.dim),
            ("context", context, self.context_dim),
        ):
            if given is None:
                continue
            if not isinstance(given, Tensor):
                raise InputError(
                    f"{label} is of class {type(given).__name__}, expected a tensor of shape "
                    f"(n, {width}): pass torch.as_tensor({label})"
                )
            if given.ndim != 2 or (given is rows and given.shape[1] != width):
                one = given.ndim == 1 and width > 1 and len(given) == width
                advice = f"pass {label}[None] for a single row" if one else "reshape it"
                raise InputError(
                    f"{label} has shape {tuple(given.shape)}, expected (n, {width}): {advice}"
                )
        if context is not None and len(context) != len(rows):
            raise InputError(
                f"context has {len(context)} rows, expected {len(rows)}: pass one for each row of "
                f"{name}, such as context.expand({len(rows)}, -1)"
            )


def _names(given: tuple[str, ...] | None, width: int, letter: str) -> tuple[str, ...]:
    given = tuple(f"{letter}{i}" for i in range(width)) if given is None else given
    listed = given if isinstance(given, Iterable) else (given,)
    names = [str.__str__(name) if isinstance(name, str) else name for name in listed]
    text = not isinstance(given, str) and all(isinstance(name, str) and name for name in names)
    if not text or len(names) != width or len(set(names)) != width:
        raise ConfigError(f"the column names are {names}; expected {width} different ones")
    return tuple(names)
