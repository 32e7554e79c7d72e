"""A flow in words and in the few numbers that the runtime needs."""

from rnvp_deploy import RNVP
from rnvp_deploy.maps import Affine
from rnvp_deploy.networks import Dense, Residual, Steps
from rnvp_deploy.transforms import Coupling, CouplingSpec
from rnvp_runtime.bundle.manifest import FlowSummary

__all__ = ["summarise"]


def summarise(flow: RNVP) -> FlowSummary:
    """The manifest's ``flow``. ``widths``: of the dense layers of the widest network, in order."""
    couplings = [t.spec for t in flow.transforms if isinstance(t, Coupling)]
    networks = [_widths(steps) for spec in couplings for _, steps in spec.networks]
    widest = max(networks, key=sum, default=(flow.dim,))
    return FlowSummary(
        description=_describe(flow, couplings),
        couplings=len(couplings),
        parameters=sum(tensor.numel() for tensor in flow.state_dict().values()),
        widths=widest,
    )


def _describe(flow: RNVP, couplings: list[CouplingSpec]) -> str:
    scales = sorted(
        {
            type(spec.map.scale).__name__
            for spec in couplings
            if isinstance(spec.map, Affine) and {"sig", "joint"} & dict(spec.networks).keys()
        }
    )
    given = f" given {flow.context_dim}" if flow.context_dim else ""
    kinds = " and ".join(scales) or "no"
    return (
        f"R-NVP over {flow.dim} coordinates{given}: {len(couplings)} affine couplings, "
        f"{kinds} scale{_describe_maps(flow)}"
    )


def _describe_maps(flow: RNVP) -> str:
    """Which columns are mapped before the flow, such as ``; log of price; integers n_hits``."""
    maps = () if flow.elementwise is None else flow.elementwise.spec.columns
    named = list(zip(flow.columns, maps, strict=False))
    parts = {
        "log of": [name for name, column in named if column.function == "log"],
        "logit of": [name for name, column in named if column.function == "logit"],
        "integers": [name for name, column in named if column.integer],
    }
    return "".join(f"; {words} {', '.join(names)}" for words, names in parts.items() if names)


def _widths(steps: Steps) -> tuple[int, ...]:
    widths: list[int] = []
    for step in steps:
        if isinstance(step, Dense):
            widths.append(step.outputs)
        elif isinstance(step, Residual):
            widths += _widths(step.body)
    return tuple(widths)
