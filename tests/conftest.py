"""Every test run gives the same result: one thread, fixed random states, fixed examples.

``make explore`` runs the same tests with fresh seeds and in random order, and ``--hypothesis-seed``
asks hypothesis for the examples of that seed.
"""

import importlib.util
import inspect
import random
from functools import partialmethod
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, register_random, settings

# A busy machine must not fail a property test: examples have no deadline, and slow strategies pass.
settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "explore", settings.get_profile("fixed"), derandomize=False, print_blob=True
)
settings.load_profile("fixed")


class TorchRandom:
    """PyTorch's global generator with the interface that hypothesis expects of a generator."""

    def seed(self, value: int) -> None:
        """Seed the generator."""
        torch.manual_seed(value)

    def getstate(self) -> Any:
        """Return the state of the generator."""
        return torch.get_rng_state()

    def setstate(self, state: Any) -> None:
        """Restore a state."""
        torch.set_rng_state(state)


# The runtime's tests also run where PyTorch is not installed.
TORCH_RANDOM = TorchRandom() if importlib.util.find_spec("torch") else None
if TORCH_RANDOM is not None:
    import torch

    # hypothesis keeps only a weak reference; the name TORCH_RANDOM keeps the object alive.
    register_random(TORCH_RANDOM)
    torch.set_num_threads(1)  # tensors this small are faster on one thread

if "mix_stderr" in inspect.signature(CliRunner).parameters:
    # click 8.1, the oldest supported version, separates standard error only with mix_stderr=False.
    runner: Any = CliRunner
    runner.__init__ = partialmethod(CliRunner.__init__, mix_stderr=False)


def pytest_configure(config: pytest.Config) -> None:
    """Make ``--hypothesis-seed`` effective: hypothesis ignores it in a derandomized profile."""
    if config.getoption("--hypothesis-seed", None) is not None:
        settings.load_profile("explore")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed the generators, so that fixtures do not depend on the tests that ran before."""
    seed_generators(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Seed the generators again, so that a test does not depend on its fixtures."""
    seed_generators(item)


def seed_generators(item: pytest.Item) -> None:
    """Seed the global generators: with pytest-randomly's seed in ``make explore``, else with 0."""
    seed = item.config.getoption("randomly_seed", 0)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (libraries draw from numpy's global generator)
    if TORCH_RANDOM is not None:
        TORCH_RANDOM.seed(seed)
