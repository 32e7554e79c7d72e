"""The intermediate form of a flow: immutable values, structure and weights together.

    another library's model ─ conversion ─┐
    RNVP, a torch module ─────── read ────┴► ir.Flow ─ build ► RNVP
                                                └──── lowering ► graphs, the native engine, C

A torch module keeps structure (its ``spec``) and weights (its parameters) apart, and every change
of one must be repeated in the other. Here a layer *is* its weights: an array's shape is the only
place where a width is stored, and a rewrite returns a new value. Arrays are float64 and read-only.

``networks`` holds the layers of a network and the functions that rewrite one into another with the
same function; ``transforms`` the transforms and the flow; ``reading`` and ``building`` convert
from and to torch modules.
"""

from rnvp_deploy.ir.building import build, build_network, build_transform
from rnvp_deploy.ir.networks import Array, Dense, Layer, Network, Rescale, Residual
from rnvp_deploy.ir.reading import read, read_transform
from rnvp_deploy.ir.transforms import (
    Coupling,
    DiagonalAffine,
    Elementwise,
    Flow,
    Linear,
    Permutation,
    Transform,
    inverse,
)

__all__ = [
    "Array",
    "Coupling",
    "Dense",
    "DiagonalAffine",
    "Elementwise",
    "Flow",
    "Layer",
    "Linear",
    "Network",
    "Permutation",
    "Rescale",
    "Residual",
    "Transform",
    "build",
    "build_network",
    "build_transform",
    "inverse",
    "read",
    "read_transform",
]
