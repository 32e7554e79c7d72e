"""The server process: it listens, replaces the bundle on demand, and stops on a signal."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rnvp_runtime.errors import OutputError, RnvpError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.serving.app import application
from rnvp_runtime.serving.connections import timed_protocol
from rnvp_runtime.serving.service import Service

__all__ = ["serve"]

_LOG = logging.getLogger("rnvp_runtime.serving")


def serve(
    service: Service,
    bundle: Path,
    *,
    host: str,
    port: int,
    watch_seconds: float | None,
    stop_seconds: int,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP opens the bundle again.

    Args:
        service: answers the requests.
        bundle: its path, which is looked at for a new bundle.
        host, port: to listen on; port 0 is any free one.
        watch_seconds: how often the bundle is looked at; None is never.
        stop_seconds: how long requests that have begun may take after the signal to stop.
        announce: called with lines about what happens.

    Raises:
        OutputError: the port is taken.
        MissingExtraError: uvicorn is not installed.
    """
    uvicorn = import_extra("uvicorn")

    async def swap() -> None:
        try:
            if await asyncio.get_running_loop().run_in_executor(None, service.swap):
                announce(f"serving {bundle} again, id {service.flow.manifest.id}")
        except RnvpError as error:
            announce(f"the new bundle is not served: {error}")

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        tasks: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()

        def reload() -> None:
            tasks.add(asyncio.create_task(swap()))

        if hasattr(signal, "SIGHUP"):
            with suppress(NotImplementedError, RuntimeError):  # not in the main thread
                loop.add_signal_handler(signal.SIGHUP, reload)
        if watch_seconds is not None:
            tasks.add(asyncio.create_task(_watch(bundle, watch_seconds, swap)))
        yield
        service.ready = False
        for task in tasks:
            task.cancel()

    config = uvicorn.Config(
        application(service, lifespan),
        host=host,
        port=port,
        http=timed_protocol(service.limits.read_seconds),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=service.limits.connections,
        timeout_graceful_shutdown=stop_seconds,
    )
    try:
        listening = config.bind_socket()
    except SystemExit:
        raise OutputError(f"cannot listen on {host}:{port}: choose another --port") from None
    where = listening.getsockname()

    class AnnouncedServer(uvicorn.Server):  # type: ignore[misc, name-defined]
        """Says where it listens as soon as it does."""

        async def startup(self, sockets: Any = None) -> None:
            """Listen."""
            await super().startup(sockets)
            name = f"[{where[0]}]" if ":" in where[0] else where[0]
            address = f"http://{name}:{where[1]}"
            announce(f"serving {bundle} on {address}, id {service.flow.manifest.id}")

    AnnouncedServer(config).run(sockets=[listening])


async def _watch(bundle: Path, seconds: float, swap: Callable[[], Any]) -> None:
    """Call ``swap`` when the manifest at ``bundle`` is another file than before."""
    seen = _identity(bundle)
    while True:
        await asyncio.sleep(seconds)
        now = _identity(bundle)
        if now is not None and now != seen:
            seen = now
            await swap()


def _identity(bundle: Path) -> tuple[int, int, int] | None:
    path = bundle / "manifest.json" if bundle.is_dir() else bundle
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
