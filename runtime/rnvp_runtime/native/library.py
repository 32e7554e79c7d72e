"""The compiled C library, and an open flow in it.

The library is looked for beside this file, where the wheel puts it. ctypes releases the GIL during
each call, so that threads run side by side.
"""

import ctypes
import sys
from collections.abc import Sequence
from ctypes import (
    POINTER,
    byref,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_size_t,
    c_uint,
    c_uint64,
    c_void_p,
)
from functools import cache
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import BundleError, InputError

__all__ = ["LIBRARY", "TARGETS", "NativeFlow", "is_available", "load_library"]

Array = NDArray[Any]

_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
LIBRARY = Path(__file__).with_name("librnvp" + _SUFFIX)
"""Where the compiled library is, if this installation has one."""

_GRADIENT = 1
TARGETS = {"best": 0, "baseline": 16, "avx2": 32, "avx512": 48}
"""Instruction sets by name; 0 is the best that the processor has."""


class _Error(ctypes.Structure):
    _fields_ = (("status", c_int), ("message", c_char * 200))


def is_available() -> bool:
    """Whether this installation has the compiled library, and it can be loaded."""
    try:
        load_library()
    except BundleError:
        return False
    return True


@cache
def load_library() -> ctypes.CDLL:
    """The library, its functions typed.

    Raises:
        BundleError: this installation has none, or it cannot be loaded.
    """
    if not LIBRARY.exists():
        raise BundleError(
            "this installation has no native engine, since no C compiler worked when it was "
            "built: use the engine onnxruntime, or install a compiler and reinstall rnvp-deploy"
        )
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        raise BundleError(f"the native engine cannot be loaded: {error}") from None
    pointer, size, status = c_void_p, c_size_t, c_int
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "rnvp_open": (status, [c_char_p, size, c_uint, POINTER(pointer), POINTER(_Error)]),
        "rnvp_close": (None, [pointer]),
        "rnvp_workspace_new": (pointer, [pointer]),
        "rnvp_workspace_free": (None, [pointer]),
        "rnvp_dim": (c_int, [pointer]),
        "rnvp_context_dim": (c_int, [pointer]),
        "rnvp_dtype": (c_int, [pointer]),
        "rnvp_target": (c_char_p, [pointer]),
        "rnvp_forward": (status, [pointer, pointer, size, *[pointer] * 4]),
        "rnvp_inverse": (status, [pointer, pointer, size, *[pointer] * 4]),
        "rnvp_gradient": (status, [pointer, pointer, size, *[pointer] * 5]),
        "rnvp_sample": (
            status,
            [pointer, pointer, c_uint64, c_uint64, size, c_double, *[pointer] * 3],
        ),
        "rnvp_stream_words": (None, [c_uint64, c_uint64, c_uint, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class NativeFlow:
    """An open ``flow.bin``. Its methods may be called from several threads at once.

    Arrays are of the flow's dtype: x and z (n, dim), context (n, context_dim), None for an
    unconditional flow, log_prob (n,) in nats. Each method computes the outputs that are named and
    returns them in that order.

    Args:
        content: the bytes of ``flow.bin``; they are copied.
        gradient: prepare for `gradient`, which takes twice the memory.
        target: the instruction set: ``"best"``, ``"baseline"``, ``"avx2"`` or ``"avx512"``.

    Raises:
        BundleError: the bytes are not a flow, or there is no library or no such instruction set.
    """

    def __init__(self, content: bytes, *, gradient: bool = False, target: str = "best") -> None:
        self._library = load_library()
        handle, error = c_void_p(), _Error()
        how = _GRADIENT * gradient | TARGETS[target]
        if self._library.rnvp_open(content, len(content), how, byref(handle), byref(error)):
            raise BundleError(f"the native engine cannot open the flow: {error.message.decode()}")
        self._handle = handle.value
        # A workspace refers to the flow, so that the flow is closed after the last of them.
        self._open = _Owned(self._library.rnvp_close, self._handle)
        self.dim: int = self._library.rnvp_dim(self._handle)
        self.context_dim: int = self._library.rnvp_context_dim(self._handle)
        self.target: str = self._library.rnvp_target(self._handle).decode()
        self.dtype = np.dtype(np.float32 if self._library.rnvp_dtype(self._handle) == 1 else float)
        self._shapes = {"log_prob": (), "grad_context": (self.context_dim,)}
        self._threads = local()

    def forward(
        self, x: Array, context: Array | None = None, outputs: Sequence[str] = ("log_prob", "z")
    ) -> list[Array]:
        """x -> log_prob, z."""
        made = self._outputs(outputs, len(x))
        self._call(
            self._library.rnvp_forward, len(x), *self._inputs(x, context, len(x)),
            _address(made.get("log_prob")), _address(made.get("z")),
        )  # fmt: skip
        return list(made.values())

    def inverse(
        self, z: Array, context: Array | None = None, outputs: Sequence[str] = ("x", "log_prob")
    ) -> list[Array]:
        """z -> x, log_prob of that x."""
        made = self._outputs(outputs, len(z))
        self._call(
            self._library.rnvp_inverse, len(z), *self._inputs(z, context, len(z)),
            _address(made.get("x")), _address(made.get("log_prob")),
        )  # fmt: skip
        return list(made.values())

    def sample(
        self,
        seed: int,
        start: int,
        count: int,
        temperature: float = 1.0,
        context: Array | None = None,
        outputs: Sequence[str] = ("x", "log_prob"),
    ) -> list[Array]:
        """Rows start ... start + count - 1 of the stream ``seed`` -> x, log_prob of that x."""
        made = self._outputs(outputs, count)
        _, given = self._inputs(None, context, count)
        self._call(
            self._library.rnvp_sample, seed & 0xFFFFFFFFFFFFFFFF, start, count, temperature, given,
            _address(made.get("x")), _address(made.get("log_prob")),
        )  # fmt: skip
        return list(made.values())

    def gradient(
        self,
        x: Array,
        context: Array | None = None,
        outputs: Sequence[str] = ("log_prob", "grad_x"),
    ) -> list[Array]:
        """x -> log_prob, its gradient "grad_x" by x, and "grad_context" by the context."""
        made = self._outputs(outputs, len(x))
        self._call(
            self._library.rnvp_gradient, len(x), *self._inputs(x, context, len(x)),
            _address(made.get("log_prob")), _address(made.get("grad_x")),
            _address(made.get("grad_context")),
        )  # fmt: skip
        return list(made.values())

    def _call(self, function: Any, *arguments: Any) -> None:
        try:
            workspace = self._threads.workspace
        except AttributeError:
            workspace = self._threads.workspace = self._new_workspace()
        status = function(self._handle, workspace.pointer, *arguments)
        if status:
            raise InputError(f"the native engine refused the arguments (status {status})")

    def _new_workspace(self) -> "_Owned":
        pointer = self._library.rnvp_workspace_new(self._handle)
        if not pointer:
            raise MemoryError("no memory for a workspace of the native engine")
        return _Owned(self._library.rnvp_workspace_free, pointer, self._open)

    def _outputs(self, names: Sequence[str], n: int) -> dict[str, Array]:
        return {
            name: np.empty((n, *self._shapes.get(name, (self.dim,))), self.dtype) for name in names
        }

    def _inputs(self, rows: Array | None, context: Array | None, n: int) -> tuple[Any, Any]:
        for array, width in ((rows, self.dim), (context, self.context_dim)):
            if array is not None and (
                array.shape != (n, width)
                or array.dtype != self.dtype
                or not array.flags.c_contiguous
            ):
                raise InputError(
                    f"the native engine was given {array.dtype} {array.shape}, expected "
                    f"contiguous {self.dtype} ({n}, {width})"
                )
        return _address(rows), _address(context)


class _Owned:
    """A pointer that is released when it is no longer used, and the object that it needs."""

    def __init__(self, release: Any, pointer: int | None, needs: Any = None) -> None:
        self.pointer, self._release, self._needs = pointer, release, needs

    def __del__(self) -> None:
        self._release(self.pointer)


_View = c_char * 1


def _address(array: Array | None) -> Any:
    """What ctypes passes as a pointer to the array's memory; it keeps no copy."""
    if array is None:
        return None
    try:
        return _View.from_buffer(array)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # read-only, or empty
        return array.ctypes.data
