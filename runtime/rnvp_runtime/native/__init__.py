"""The native engine: a flow's ``flow.bin`` run by a small C library, through ctypes.

``library`` loads the library that the wheel carries and binds its functions; ``engine`` is the
engine that `rnvp_runtime.engines` registers. The C sources are in ``runtime/c``.
"""

from rnvp_runtime.native.engine import Native
from rnvp_runtime.native.library import NativeFlow, is_available

__all__ = ["Native", "NativeFlow", "is_available"]
