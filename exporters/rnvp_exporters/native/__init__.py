"""A flow for the native engine: as ``flow.bin``, and as a folder of C."""

from rnvp_exporters.native.c_folder import write_c_folder
from rnvp_exporters.native.flow_bin import encode, flow_bin

__all__ = ["encode", "flow_bin", "write_c_folder"]
