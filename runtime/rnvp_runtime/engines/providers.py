"""Execution providers that compute something else than the CPU, and how that is found.

A provider of onnxruntime may raise no error and give wrong numbers. The known cases are in
`WRONG_ON_PROVIDERS`. Other cases are found on first use: the bundle's own test vectors are run on
any provider that is not the CPU.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rnvp_runtime.engines.engine import Engine, Provider
from rnvp_runtime.errors import EngineError, InputError

if TYPE_CHECKING:
    from rnvp_runtime.bundle.manifest import Manifest
    from rnvp_runtime.bundle.sources import Source

__all__ = [
    "CPU",
    "WRONG_ON_PROVIDERS",
    "check_vectors_once",
    "provider_name",
    "refuse_providers",
    "wrong_graphs",
]

CPU = "CPUExecutionProvider"

WRONG_ON_PROVIDERS: Mapping[str, Mapping[str, str]] = {
    "OpenVINOExecutionProvider": {
        "sampler": "OpenVINO computes uint64 in 32 bits and raises no error",
    },
    "WebGpuExecutionProvider": {
        "sampler": "its uint64 arithmetic is in 32 bits, and it raises no error",
    },
}
"""Provider -> graph -> why its numbers are wrong."""

_checked: set[tuple[str, ...]] = set()


def provider_name(provider: Provider) -> str:
    """The name of a provider that is given with or without options."""
    return provider if isinstance(provider, str) else provider[0]


def refuse_providers(engine: str, providers: Sequence[Provider]) -> None:
    """Refuse ``providers`` for an engine that has none.

    Raises:
        InputError: there are some.
    """
    if providers:
        raise InputError(f"the engine {engine} takes no providers: leave them out")


def wrong_graphs(engine: Engine, providers: Sequence[Provider]) -> Mapping[str, str]:
    """Graphs that ``engine`` computes wrongly on ``providers`` -> why."""
    known = dict(engine.wrong_graphs)
    for provider in providers:
        known |= WRONG_ON_PROVIDERS.get(provider_name(provider), {})
    return known


def check_vectors_once(
    source: "Source",
    manifest: "Manifest",
    graph: str,
    content: bytes,
    engine: Engine,
    providers: Sequence[Provider],
) -> None:
    """Run the test vectors of ``graph`` on ``providers``, unless they are the CPU alone.

    This is done once in a process for each graph and choice of providers. Rows with NaN or infinity
    are not judged, since several providers lose them.

    Raises:
        BundleError: the test vectors cannot be read.
        EngineError: the numbers are wrong. The text says by how much.
    """
    if all(provider_name(provider) == CPU for provider in providers):
        return
    digest = manifest.files[manifest.graphs[graph].files[engine.format]].sha256
    vectors = [r.sha256 for file, r in manifest.files.items() if file.startswith(f"tests/{graph}/")]
    key = (digest, *vectors, str(engine), str(tuple(providers)))
    if key in _checked:
        return
    from rnvp_runtime.bundle.verification import check_vectors, read_vectors

    contents = read_vectors(source, manifest, graph)
    contents[manifest.graphs[graph].files[engine.format]] = content
    checks = check_vectors(contents, manifest, engine, providers=providers, graphs=[graph])
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    if failed:
        names = ", ".join(map(provider_name, providers))
        raise EngineError(
            f"{names} gives wrong numbers for the bundle's own test vectors ({'; '.join(failed)}): "
            "leave providers out, or use another one"
        )
    _checked.add(key)
