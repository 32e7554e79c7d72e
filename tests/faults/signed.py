"""A signed bundle and its keys, for the tests of Python and JavaScript."""

from pathlib import Path

import pytest

from tests.faults.bundles import sound_bundle

__all__ = ["keys", "signed"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The private and the public key of the publisher."""
    from tests.faults.keys import key_pair

    return key_pair(tmp_path_factory.mktemp("keys"), "publisher")


@pytest.fixture(scope="module")
def signed(keys: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed bundle. Tests must not change it."""
    from rnvp_exporters.bundle.signing import sign

    bundle = sound_bundle(tmp_path_factory.mktemp("signed"))
    sign(bundle, keys[0])
    return bundle
