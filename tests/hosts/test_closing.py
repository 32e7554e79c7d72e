"""A flow that threads share, that is closed, or that is deleted."""

import gc
import pickle
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import rnvp_runtime
from rnvp_runtime import InputError
from tests.hosts.threads import run_threads
from tests.runtime.conftest import bundle, write_bundle

__all__ = ["bundle"]

X = np.zeros((3, 2))


def sessions() -> int:
    """The number of sessions of onnxruntime in this process."""
    import onnxruntime

    kind = onnxruntime.InferenceSession
    return sum(type(found) is kind for found in gc.get_objects())


def use(flow: rnvp_runtime.Flow) -> None:
    """Open several graphs."""
    flow.log_prob(X)
    flow.inverse(X)
    flow.sample(30, seed=1)


def test_a_closed_flow_refuses_calls(bundle: Path) -> None:
    """Its manifest can still be read, and it may be closed twice."""
    flow = rnvp_runtime.load(bundle, preload=True)
    use(flow)
    flow.close()
    flow.close()
    with pytest.raises(InputError, match="the flow is closed: load it again"):
        flow.log_prob(X)
    assert flow.manifest.dim == 2


def test_a_flow_is_a_context_manager(bundle: Path) -> None:
    """The flow is closed when the block ends, also after an exception."""
    flow = rnvp_runtime.load(bundle)
    with pytest.raises(InputError, match="x has"), flow:
        flow.log_prob(np.zeros((1, 7)))
    with pytest.raises(InputError, match="is closed"):
        flow.sample(1)


@pytest.mark.parametrize("how", ["close", "drop"])
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="others collect garbage later")
def test_sessions_are_released(bundle: Path, how: str) -> None:
    """They are released at once, without the garbage collector."""
    gc.collect()
    before = sessions()
    flow = rnvp_runtime.load(bundle)
    use(flow)
    assert sessions() > before
    gc.disable()
    try:
        if how == "close":
            flow.close()
        else:
            del flow
        assert sessions() == before
    finally:
        gc.enable()


def test_a_copy_of_a_closed_flow_is_open(bundle: Path) -> None:
    """A pickle holds the path and not the state."""
    flow = rnvp_runtime.load(bundle)
    flow.close()
    assert pickle.loads(pickle.dumps(flow)).log_prob(X).shape == (3,)


def test_closing_while_threads_compute(bundle: Path) -> None:
    """A call gives the right result or the error of a closed flow."""
    flow = rnvp_runtime.load(bundle)
    expected, faults = flow.log_prob(np.zeros((5_000, 2))), []
    started = threading.Barrier(5)

    def work() -> None:
        started.wait()
        for _ in range(200):
            try:
                if not np.array_equal(flow.log_prob(np.zeros((5_000, 2))), expected):
                    faults.append("another result")
            except InputError:
                return
            except Exception as error:
                faults.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    flow.close()
    for thread in threads:
        thread.join()
    assert faults == []


def test_32_threads_get_what_one_gets(tmp_path: Path) -> None:
    """``python -m tests.hosts.threads`` runs this for a given time and shows the memory."""
    flow = rnvp_runtime.load(write_bundle(tmp_path / "m.rnvp", context_dim=1, gradient=True))
    outcome = run_threads(flow, 32, lambda calls: calls < 15)
    assert outcome.faults == []
    assert outcome.calls == 32 * 15
