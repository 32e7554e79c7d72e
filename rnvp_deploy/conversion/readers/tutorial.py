"""The R_NVP of tutorials: a class in a notebook, recognised by its attributes.

A bijector has ``sig_net``, ``mu_net`` and ``k``. Called with x and ``flip`` it returns z,
log p(z) and log |det|; ``inverse(z, flip)`` goes back. ``flip`` swaps the roles of the halves. A
container has the bijectors in a ModuleList, and ``flips``, one bool for each.
"""

from typing import Any

from torch import Tensor, nn

from rnvp_deploy.conversion.couplings import coupling
from rnvp_deploy.conversion.networks import read_network
from rnvp_deploy.conversion.refusal import located, refusal
from rnvp_deploy.conversion.source import Context, Reader, SourceFlow, SourceLayer
from rnvp_deploy.scales import Exp

__all__ = ["READER"]


def _is_tutorial(flow: Any) -> bool:
    return isinstance(flow, nn.Module) and (_is_bijector(flow) or _stack(flow) is not None)


def _is_bijector(thing: object) -> bool:
    return all(hasattr(thing, name) for name in ("sig_net", "mu_net", "k", "inverse"))


def _stack(flow: nn.Module) -> str | None:
    """The name of the list of bijectors."""
    for name, child in flow._modules.items():
        if isinstance(child, nn.ModuleList) and len(child) and all(map(_is_bijector, child)):
            return name
    return None


def _read(flow: Any) -> SourceFlow:
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
        raise refusal(
            "", f"a {type(flow).__name__} is not an R_NVP: it has no sig_net, mu_net and k"
        )
    layers = [_layer(*parts) for parts in zip(bijectors, paths, flips, strict=True)]
    dim = sum(map(len, _halves(bijectors[0], paths[0], flips[0])))

    def log_prob(x: Tensor, c: Context) -> Tensor:
        _, log_pz, log_jacob = flow(x)
        log_prob: Tensor = log_pz + log_jacob
        return log_prob

    return SourceFlow(dim, 0, tuple(layers), log_prob)


def _halves(bijector: Any, path: str, flip: bool) -> tuple[range, range]:
    """The passive and the active coordinates."""
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
            f"its networks read {inputs} coordinates, but with k = {k} they are given "
            f"{len(passive)}{' when flipped' if flip else ''}",
        )
    return passive, active


@located
def _layer(bijector: Any, path: str, flip: bool) -> SourceLayer:
    passive, active = _halves(bijector, path, flip)
    sig, mu = (
        read_network(getattr(bijector, name), f"{path}.{name}".lstrip("."), len(passive))
        for name in ("sig_net", "mu_net")
    )

    def forward(x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        z, _, log_jacob = bijector(x, flip=flip)
        return z, log_jacob

    return SourceLayer(
        path,
        (coupling(path, passive, active, sig=sig, mu=mu, scale=Exp()),),
        forward,
        lambda z, c: bijector.inverse(z, flip=flip),
    )


READER = Reader("tutorial", _is_tutorial, _read, title="an R_NVP with sig_net and mu_net")
