"""The limits of the contents of a bundle. docs/bundle.md lists these numbers.

They are far above the sizes that an export writes. They bound the memory and the time that an
untrusted file can take before it is refused.
"""

__all__ = [
    "MAX_COLUMNS",
    "MAX_DIMENSIONS",
    "MAX_FILES",
    "MAX_FILE_BYTES",
    "MAX_INTEGER",
    "MAX_JSON_DEPTH",
    "MAX_MANIFEST_BYTES",
    "MAX_NAME_LENGTH",
    "MAX_NODES",
]

MAX_MANIFEST_BYTES = 1 << 20
MAX_JSON_DEPTH = 16  # lists and objects inside one another
MAX_FILES = 10_000
MAX_FILE_BYTES = 1 << 30  # of any one file
MAX_NAME_LENGTH = 255  # characters of a file's name below the bundle, and of a tensor's
MAX_COLUMNS = 65_536  # dim, and context_dim
MAX_INTEGER = 2**53 - 1  # that every reader of JSON holds exactly
MAX_NODES = 100_000  # of one ONNX graph
MAX_DIMENSIONS = 8  # axes of one tensor
