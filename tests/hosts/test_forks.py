"""A process forks after it loaded or used a flow, or while a thread opens a graph."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnvp_runtime
from tests.runtime.conftest import bundle

__all__ = ["bundle"]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

WHILE_OPENING = """
import os, sys, threading, time, rnvp_runtime
flows = [rnvp_runtime.load(sys.argv[1]) for _ in range(12)]
x = [[0.5, 1.0]]
expected = rnvp_runtime.load(sys.argv[1]).log_prob(x)
def use():
    for flow in flows:
        flow.log_prob(x)
        flow.sample(3, seed=1)
thread = threading.Thread(target=use)
thread.start()
failed, children = 0, []
while thread.is_alive() and len(children) < 30:
    child = os.fork()
    if child == 0:
        same = all((flow.log_prob(x) == expected).all() for flow in flows)
        os._exit(0 if same else 1)
    children.append(child)
    time.sleep(0.002)
thread.join()
print(len(children), [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children].count(0))
"""


@needs_fork
@pytest.mark.slow
def test_a_fork_while_a_graph_is_opened_does_not_hang(bundle: Path) -> None:
    """Every child computes with every flow, although a thread of its parent was opening them."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", WHILE_OPENING, bundle],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    forked, right = map(int, done.stdout.split())
    assert right == forked > 0, done.stderr


@needs_fork
def test_forked_workers_use_the_flow_of_their_parent(bundle: Path) -> None:
    """The parent used the flow before the fork. The workers compute with it and end."""
    code = """
import multiprocessing, sys, rnvp_runtime
flow = rnvp_runtime.load(sys.argv[1])
expected = flow.log_prob([[0.5, 1.0]])
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map(flow.log_prob, [[[0.5, 1.0]]] * 8)
    pool.close()
    pool.join()
assert all((f == expected).all() for f in found)
"""
    subprocess.run([sys.executable, "-c", code, bundle], timeout=300, check=True)


def test_spawned_workers_load_the_flow_again(bundle: Path) -> None:
    """A preloaded flow is sent as its path too."""
    flow = rnvp_runtime.load(bundle, preload=True)
    x = np.array([[0.5, 1.0]])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(flow.log_prob, (x,))
        pool.close()
        pool.join()
    np.testing.assert_array_equal(found, flow.log_prob(x))
