"""Checkpoints of earlier format versions, as the present version would have written them.

Version 1 stored a recipe, ``config``, whose ``layers`` might list the transforms; a coupling had
the fields ``sig_net``, ``mu_net``, ``joint_net`` and ``scale``. Version 2 stores ``flow``, a
``FlowSpec``. The weights have the same names in both.
"""

from typing import Any

from rnvp_deploy.config import RNVPConfig
from rnvp_deploy.plain import from_plain, to_plain

__all__ = ["VERSION", "upgrade"]

VERSION = 2


def upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint of any known version, as one of version 2."""
    if content.get("version") != 1:
        return content
    later = {name: value for name, value in content.items() if name != "config"}
    if isinstance(content.get("config"), dict):
        later["flow"] = _flow(content["config"])
    return later | {"version": VERSION}


def _flow(config: dict[str, Any]) -> Any:
    recipe = {name: value for name, value in config.items() if name not in ("kind", "layers")}
    if not config.get("layers"):
        return to_plain(
            RNVPConfig(**{name: from_plain(value) for name, value in recipe.items()}).spec()
        )
    return {
        "kind": "FlowSpec",
        "dim": recipe["dim"],
        "context_dim": recipe["context_dim"],
        "transforms": [_transform(layer) for layer in config["layers"]],
        "standardise_context": bool(recipe["standardise"] and recipe["context_dim"]),
    }


def _transform(layer: Any) -> Any:
    if not isinstance(layer, dict) or layer.get("kind") != "CouplingSpec":
        return layer
    networks = [(name, layer.get(f"{name}_net")) for name in ("sig", "mu", "joint")]
    kept = {name: layer[name] for name in ("passive", "active", "inverted", "context_dim")}
    return {
        "kind": "CouplingSpec",
        "networks": [[name, steps] for name, steps in networks if steps],
        "map": {"kind": "Affine", "scale": layer["scale"]},
        **kept,
    }
