"""Ctrl-C during the import of a library takes effect after the import."""

import signal
import threading

import pytest

from rnvp_runtime.engines.interrupts import interrupts_later


def interrupted(reached: list[str]) -> None:
    """Receive an interrupt within the block, then run the block to its end."""
    with interrupts_later():
        signal.raise_signal(signal.SIGINT)
        reached.append("the end of the block")


def test_an_interrupt_comes_when_the_block_ends() -> None:
    """The block runs to its end before KeyboardInterrupt is raised."""
    reached: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(reached)
    assert reached == ["the end of the block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_an_interrupt_nothing_is_raised() -> None:
    """The block leaves the handler as it was."""
    with interrupts_later():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_thread_leaves_the_handler() -> None:
    """Python allows only the main thread to set a handler."""
    seen = []

    def work() -> None:
        with interrupts_later():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
