"""Reading ahead and writing behind, each in a thread of its own, with little in memory.

The engine, pyarrow and numpy release the interpreter's lock while they work, so that a table is
read, scored and written at the same time.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["ahead", "behind"]

_DEPTH = 2  # items that wait
_POLL = 0.1  # seconds after which a waiting thread looks whether it is still needed
_END = object()

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The ``items`` in order, made by another thread before they are asked for.

    An error is raised after the items before it. If the iteration is left early, the thread ends.
    """
    waiting: queue.Queue[Any] = queue.Queue(_DEPTH)
    stopped = threading.Event()

    def put(item: Any) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=_POLL)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as error:  # raised again where the items are used
            put((_END, error))
        finally:
            if closing := getattr(items, "close", None):
                closing()

    thread = threading.Thread(target=make, name="reading ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


@contextmanager
def behind(write: Callable[[T], object]) -> Iterator[Callable[[T], None]]:
    """Calls of ``write`` in another thread, in order; all are done when the block ends.

    Raises:
        BaseException: what ``write`` raises, at a later call or at the end of the block.
    """
    waiting: queue.Queue[Any] = queue.Queue(_DEPTH)
    errors: list[BaseException] = []

    def work() -> None:
        while (item := waiting.get()) is not _END:
            if errors:
                continue  # so that no caller waits for room
            try:
                write(item)
            except BaseException as error:
                errors.append(error)

    def call(item: T) -> None:
        if errors:
            raise errors[0]
        waiting.put(item)

    thread = threading.Thread(target=work, name="writing behind", daemon=True)
    thread.start()
    try:
        yield call
    except BaseException as error:
        errors.append(error)  # what waits is not written
        raise
    finally:
        waiting.put(_END)
        thread.join()
    if errors:
        raise errors[0]
