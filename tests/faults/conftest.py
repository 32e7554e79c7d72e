"""The hand-written bundles of the runtime's tests."""

from tests.runtime.conftest import bundle, make_bundle

__all__ = ["bundle", "make_bundle"]
