"""The flows that the exporter is tested on, and one thread: the machine is shared."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("exporters", deadline=None, max_examples=40)
settings.load_profile("exporters")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Graphs this small are faster on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
