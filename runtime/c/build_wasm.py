"""``python runtime/c/build_wasm.py``: compile the engine to WebAssembly, as a JavaScript module.

The module holds the compressed bytes as text. So no bundler has to know of a second file, no host
has to serve one, and a program in Node reads none.

The file is committed, so that nobody who installs the npm package needs a compiler. The bytes are
the same wherever this version of ziglang builds them, and a test holds them to that.
"""

import base64
import subprocess
import sys
import tempfile
import zlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ZIGLANG = "0.17.1"
SOURCES = Path(__file__).resolve().parent
OUTPUT = SOURCES.parent / "js" / "src" / "native-wasm.js"
EXPORTS = [
    "rnvp_measure",
    "rnvp_build",
    "rnvp_workspace_size",
    "rnvp_dim",
    "rnvp_context_dim",
    "rnvp_dtype",
    "rnvp_forward",
    "rnvp_inverse",
    "rnvp_sample",
    "rnvp_gradient",
    "rnvp_stream_words",
    "__heap_base",
]
FLAGS = ["-target", "wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-Os", "-std=c11"]
FLAGS += ["-DRNVP_FREESTANDING", "-Wl,--no-entry", "-Wl,--strip-all"]


MODULE = """\
/**
 * The native engine as WebAssembly: raw deflate in base64, {size:,} bytes unpacked.
 * Written by runtime/c/build_wasm.py.
 */
export const NATIVE_WASM =
  "{text}";
"""


def build() -> bytes:
    """The WebAssembly; its memory grows from ``__heap_base`` on as the JavaScript asks for it."""
    exported = [f"-Wl,--export={name}" for name in EXPORTS]
    zig = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *exported]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "native.wasm"
        # A relative source: the compiler may write into the file how it was named.
        subprocess.run([*zig, "-o", str(output), "rnvp.c"], cwd=SOURCES, check=True)
        return output.read_bytes()


def packed(wasm: bytes) -> str:
    """The JavaScript module that holds ``wasm``."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    text = base64.b64encode(compressor.compress(wasm) + compressor.flush()).decode()
    return MODULE.format(size=len(wasm), text=text)


def unpacked(module: str) -> bytes:
    """The WebAssembly in the JavaScript ``module``."""
    return zlib.decompress(base64.b64decode(module.split('"')[1]), -zlib.MAX_WBITS)


if __name__ == "__main__":
    try:
        found = version("ziglang")
    except PackageNotFoundError:
        sys.exit(f"build_wasm.py: pip install ziglang=={ZIGLANG}")
    if found != ZIGLANG:
        sys.exit(f"build_wasm.py: this is ziglang {found}: pip install ziglang=={ZIGLANG}")
    OUTPUT.write_text(packed(build()), encoding="utf-8", newline="\n")
    print(OUTPUT)
