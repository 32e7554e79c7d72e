"""All libraries of the zoo."""

from . import freia, glasflow, nessai, nflows, normflows, tutorial, zuko

LIBRARIES = [
    module.LIBRARY for module in (nflows, normflows, zuko, freia, glasflow, nessai, tutorial)
]
