"""Real bundles, each exported once."""

from collections.abc import Callable

import pytest

from tests.embedding.exported import KINDS, Bundle, export


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """The bundle of a kind, exported when it is first asked for."""
    folder, made = tmp_path_factory.mktemp("bundles"), dict[str, Bundle]()

    def bundle(kind: str) -> Bundle:
        if kind not in made:
            made[kind] = export(folder / f"{kind}.rnvp", **KINDS[kind])
        return made[kind]

    return bundle


@pytest.fixture(params=list(KINDS))
def bundle(request: pytest.FixtureRequest, make: Callable[[str], Bundle]) -> Bundle:
    """Each kind of bundle in turn."""
    return make(request.param)


@pytest.fixture(params=[kind for kind in KINDS if "dtype" not in KINDS[kind]])
def float32_bundle(request: pytest.FixtureRequest, make: Callable[[str], Bundle]) -> Bundle:
    """Each kind of bundle in float32."""
    return make(request.param)
