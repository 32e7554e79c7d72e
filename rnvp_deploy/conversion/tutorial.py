"""The tutorials' own R_NVP: a class in a notebook, known by what it has.

A bijector has ``sig_net``, ``mu_net`` and ``k``; called with x and ``flip`` it gives
z, log p(z), log |det|, and ``inverse(z, flip)`` undoes it. With ``flip`` the halves swap roles. A
container has the bijectors in a ModuleList, and ``flips``, one bool for each.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from rnvp_deploy.conversion.networks import read_network
from rnvp_deploy.conversion.refusal import refusal
from rnvp_deploy.conversion.source import Piece, Source, bring
from rnvp_deploy.conversion.transforms import coupling
from rnvp_deploy.flow import RNVP
from rnvp_deploy.scales import Exp

__all__ = ["from_tutorial", "is_tutorial"]


def from_tutorial(
    flow: Any,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> RNVP:
    """The distribution of a tutorial's ``R_NVP``, or of a stack of them, as a flow of ours.

    ``columns`` names the coordinates. Raises ConversionError.
    """
    return bring(flow, _read, columns, context_columns)


def is_tutorial(flow: object) -> bool:
    """Whether ``flow`` looks like an R_NVP or a container of them."""
    return _is_bijector(flow) or _stack(flow) is not None


def _is_bijector(thing: object) -> bool:
    return all(hasattr(thing, name) for name in ("sig_net", "mu_net", "k", "inverse"))


def _stack(flow: object) -> str | None:
    """The name of the list of bijectors."""
    for name, child in vars(flow).get("_modules", {}).items():
        if isinstance(child, nn.ModuleList) and len(child) and all(map(_is_bijector, child)):
            return str(name)
    return None


def _read(flow: Any) -> Source:
    if _is_bijector(flow):
        bijectors, paths, flips = [flow], [""], [False]
    elif name := _stack(flow):
        bijectors = list(getattr(flow, name))
        paths = [f"{name}.{i}" for i in range(len(bijectors))]
        flips = list(getattr(flow, "flips", []))
        if len(flips) != len(bijectors):
            raise refusal(
                "", f"it has {len(bijectors)} bijectors in {name!r} but {len(flips)} flips"
            )
    else:
        raise refusal("", f"a {type(flow).__name__} is no R_NVP: it has no sig_net, mu_net and k")
    pieces = [_piece(*parts) for parts in zip(bijectors, paths, flips, strict=True)]
    dim = sum(len(part) for part in _halves(bijectors[0], paths[0], flips[0]))

    def log_prob(x: Tensor, c: Tensor | None) -> Tensor:
        _, log_pz, log_jacob = flow(x)
        log_prob: Tensor = log_pz + log_jacob
        return log_prob

    return Source(dim, 0, tuple(pieces), log_prob)


def _halves(bijector: Any, path: str, flip: bool) -> tuple[range, range]:
    """Which coordinates stay and which move."""
    k = int(bijector.k)
    linear = [module for module in bijector.sig_net.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise refusal(f"{path}.sig_net".lstrip("."), "it has no Linear layer")
    inputs, outputs = linear[0].in_features, linear[-1].out_features
    dim = inputs + outputs
    first, second = range(k), range(k, dim)
    passive, active = (second, first) if flip else (first, second)
    if len(passive) != inputs:
        raise refusal(
            path,
            f"its networks see {inputs} coordinates, but with k = {k} they are given "
            f"{len(passive)}{' when flipped' if flip else ''}",
        )
    return passive, active


def _piece(bijector: Any, path: str, flip: bool) -> Piece:
    passive, active = _halves(bijector, path, flip)
    sig, mu = (
        read_network(getattr(bijector, name), f"{path}.{name}".lstrip("."), len(passive))
        for name in ("sig_net", "mu_net")
    )

    def forward(x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        z, _, log_jacob = bijector(x, flip=flip)
        return z, log_jacob

    return Piece(
        path,
        (coupling(passive, active, sig=sig, mu=mu, scale=Exp()),),
        forward,
        lambda z, c: bijector.inverse(z, flip=flip),
    )
