"""Fixtures: the hand-written bundles of the runtime's tests, and a signed bundle."""

from tests.faults.signed import keys, signed
from tests.runtime.conftest import bundle, make_bundle

__all__ = ["bundle", "keys", "make_bundle", "signed"]
