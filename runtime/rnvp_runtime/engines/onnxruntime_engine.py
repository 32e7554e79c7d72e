"""onnxruntime, the engine that this package runs on by default.

Reference: https://onnxruntime.ai/docs/execution-providers/
"""

import contextlib
import importlib
import io
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

from rnvp_runtime.bundle.pruning import pruned
from rnvp_runtime.engines.engine import DEFAULT_OPTIONS, OpenOptions, Provider, Run, Signature
from rnvp_runtime.engines.interrupts import interrupts_later
from rnvp_runtime.engines.providers import CPU, provider_name
from rnvp_runtime.errors import BundleError, EngineError, InputError
from rnvp_runtime.versions import MIN_ONNXRUNTIME, is_older, newest

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["OnnxRuntime", "import_onnxruntime", "open_session"]

# What onnxruntime says of a file that a newer one can read.
_TOO_NEW = re.compile(r"(?:model )?(IR version|[Oo]pset)[: ]+(\d+).*?(?:version:|opset) (\d+)")

_redirecting = threading.Lock()  # of two threads, the second would restore what the first set


@dataclass(frozen=True)
class OnnxRuntime:
    """onnxruntime on one thread that never spins; see `rnvp_runtime.engines.Engine`.

    `rnvp_runtime.tiles` runs calls to one session side by side, so that a session needs no
    threads of its own. Execution providers are named as onnxruntime names them, for example
    ``"CUDAExecutionProvider"`` or ``("CUDAExecutionProvider", {"device_id": 1})``.
    """

    format: str = "onnx"
    keeps_nan: bool = True
    wrong_graphs: Mapping[str, str] = field(default_factory=dict)

    def check(self, manifest: "Manifest", providers: Sequence[Provider] = ()) -> None:
        """See `rnvp_runtime.engines.Engine.check`."""
        onnxruntime = import_onnxruntime()
        found, minimum = onnxruntime.__version__, newest(manifest.min_onnxruntime, MIN_ONNXRUNTIME)
        if is_older(found, minimum):
            raise BundleError(
                f"onnxruntime {found} is too old, this bundle needs {minimum}: "
                f'pip install --upgrade "onnxruntime>={minimum}"'
            )
        _check_available(onnxruntime, providers)

    def open(
        self,
        content: bytes,
        outputs: Sequence[str],
        *,
        signature: Signature | None = None,
        options: OpenOptions = DEFAULT_OPTIONS,
    ) -> Run:
        """See `rnvp_runtime.engines.Engine.open`. Nodes that no output needs are removed first.

        With ``few_rows`` no two tensors share memory. Measured, this takes 9-18 % off a call of
        one row and 5 % off one of 16 rows. For many rows it would only cost memory.
        """
        try:
            needed = pruned(content, outputs)
        except ValueError as error:
            raise BundleError(f"{options.source} is not an ONNX model: {error}") from None
        session = open_session(needed, options)
        # Without run_options each call would make its own: 2 % of the time of one row.
        run: Run = partial(
            session.run, list(outputs), run_options=import_onnxruntime().RunOptions()
        )
        return run


def import_onnxruntime() -> ModuleType:
    """Import onnxruntime with its telemetry off, unless the user has set the variable.

    Telemetry, on by default from 1.29 on, writes files into the user's cache folder, looks up
    its vendor's host, and runs threads that stop a forked process from ending.

    Raises:
        EngineError: onnxruntime is missing, or does not work with what is installed beside it,
            for example with another major version of numpy.
    """
    printed = io.StringIO()  # numpy prints a traceback for an extension of another major version
    try:
        if "onnxruntime" in sys.modules:  # import_module waits for another thread that imports it
            return importlib.import_module("onnxruntime")
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        with _redirecting, interrupts_later(), contextlib.redirect_stderr(printed):
            onnxruntime = importlib.import_module("onnxruntime")
    except (ImportError, AttributeError) as error:
        said = str(error).strip() or printed.getvalue().strip() or type(error).__name__
        raise EngineError(
            f"onnxruntime cannot be imported ({said.splitlines()[0]}): "
            f'pip install --upgrade "onnxruntime>={MIN_ONNXRUNTIME}"'
        ) from None
    if printed.getvalue() and sys.stderr is not None:  # None: a program without a console
        sys.stderr.write(printed.getvalue())
    return onnxruntime


def open_session(content: bytes, options: OpenOptions = DEFAULT_OPTIONS) -> "InferenceSession":
    """A session of the whole graph in ``content``, as `OnnxRuntime.open` uses for a part of it.

    Raises:
        BundleError, EngineError, InputError: as `rnvp_runtime.engines.Engine.open` does.
    """
    onnxruntime = import_onnxruntime()
    _check_available(onnxruntime, options.providers)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.inter_op_num_threads = 1
    settings.enable_mem_reuse = not options.few_rows
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 3  # errors are raised; a caller can do nothing about warnings
    providers = [
        provider if isinstance(provider, str) else (provider[0], dict(provider[1]))
        for provider in options.providers or (CPU,)
    ]
    try:
        session = onnxruntime.InferenceSession(
            content,
            settings,
            providers=providers,
            enable_fallback=0,  # else a provider that fails is replaced by the CPU
        )
    except Exception as error:  # onnxruntime's exceptions have no narrower base class
        reason = " ".join(str(error).split())
        version = onnxruntime.__version__
        if newer := _TOO_NEW.search(reason):
            raise BundleError(
                f"{options.source} has {newer[1]} {newer[2]}, onnxruntime {version} reads up to "
                f"{newer[3]}: pip install --upgrade onnxruntime"
            ) from None
        raise BundleError(f"onnxruntime {version} cannot open {options.source}: {reason}") from None
    _check_used(session.get_providers(), options)
    return session


def _check_available(onnxruntime: ModuleType, providers: Sequence[Provider]) -> None:
    available = onnxruntime.get_available_providers()
    for name in map(provider_name, providers):
        if name not in available:
            raise InputError(
                f"this onnxruntime has no {name}, it has {', '.join(available)}: install the "
                "onnxruntime package that contains it, such as onnxruntime-gpu"
            )


def _check_used(used: Sequence[str], options: OpenOptions) -> None:
    """Compare with the session's own list: onnxruntime raises nothing when it falls back."""
    missing = [name for name in map(provider_name, options.providers) if name not in used]
    if missing:
        raise EngineError(
            f"onnxruntime opened {options.source} on {', '.join(used)} and not on "
            f"{', '.join(missing)}: check that the provider's libraries and its device are there"
        )
