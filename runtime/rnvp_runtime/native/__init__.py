"""The native engine's library: a flow's ``flow.bin`` run by C code, through ctypes.

The C sources are in ``runtime/c``. `rnvp_runtime.engines` registers the engine.
"""

from rnvp_runtime.native.library import NativeFlow, is_available

__all__ = ["NativeFlow", "is_available"]
