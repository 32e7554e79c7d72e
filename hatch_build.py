"""Build hook of hatchling: the compiled C engine goes into the wheel.

With a compiler the wheel is for this platform, and holds the library. Without one, or where the
compiler fails, the wheel is pure and the engine onnxruntime serves all rows: a build never fails
because of the engine. ``RNVP_NATIVE=0`` asks for the pure wheel, ``RNVP_NATIVE=1`` makes a failure
an error. An editable installation has the library beside the module that loads it.
"""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags


class NativeEngine(BuildHookInterface):
    """Compiles ``runtime/c``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is put together; ``version`` is "standard" or "editable"."""
        wanted = os.environ.get("RNVP_NATIVE", "")
        if wanted == "0":
            return
        compiling = _module(Path(self.root, "runtime", "c", "compile.py"))
        try:
            library = compiling.compile_library()
        except compiling.CompileError as reason:
            if wanted == "1":
                raise
            self.app.display_warning(
                f"The native engine was not built: {reason}. The wheel is pure, and the engine "
                "onnxruntime serves all rows."
            )
            return
        if version == "editable":
            return
        target = f"rnvp_runtime/native/{library.name}"
        build_data["force_include"][str(library)] = target
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"


def _platform() -> str:
    """This machine's tag, as hatchling infers it: not that of a manylinux container."""
    return next(
        tag.platform
        for tag in sys_tags()
        if "manylinux" not in tag.platform and "musllinux" not in tag.platform
    )


def _module(path: Path) -> Any:
    spec = spec_from_file_location("rnvp_compile", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
