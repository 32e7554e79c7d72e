"""``rnvp-serve``: a flow behind HTTP."""

from pathlib import Path

import click

from rnvp_runtime.terminal.user_errors import UserErrorCommand
from rnvp_runtime.terminal.whole_number import WholeNumber


@click.command(cls=UserErrorCommand)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--max-body", type=WholeNumber(min=1024), default=64 << 20, show_default=True, help="Bytes."
)
@click.option(
    "--max-rows",
    type=WholeNumber(min=1),
    default=1_000_000,
    show_default=True,
    help="Of one request.",
)
@click.option(
    "--read-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="For the head of a request, and for its body.",
)
@click.option(
    "--watch",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Look so often whether BUNDLE was replaced, and serve the new one.",
)
@click.option(
    "--stop-seconds",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="For the requests that have begun when the server is told to stop.",
)
@click.version_option(package_name="rnvp-deploy")
def serve(
    bundle: Path,
    host: str,
    port: int,
    threads: int,
    max_body: int,
    max_rows: int,
    read_seconds: float,
    watch: float | None,
    stop_seconds: int,
) -> None:
    """Serve the flow in BUNDLE over HTTP.

    The paths are those of the Open Inference Protocol, version 2: /v2/health/live and ready, and
    /v2/models/NAME and NAME/infer for density, inverse, sampler and gradient, with JSON or binary
    tensors. /metrics is for Prometheus. There is no authentication: put a proxy before it where
    others can reach it.

    SIGTERM stops the server when the requests that have begun are answered. SIGHUP opens BUNDLE
    again, without dropping a request. --port 0 takes a free port; the line on standard error says
    which.

    \b
    Example:
      rnvp-serve model.rnvp --port 8000
    """
    from rnvp_runtime.extras import import_extra

    import_extra("uvicorn")
    import_extra("starlette")
    from rnvp_runtime.serving.server import serve as serve_until_stopped
    from rnvp_runtime.serving.service import Limits, Service

    limits = Limits(body_bytes=max_body, rows=max_rows, read_seconds=read_seconds)
    serve_until_stopped(
        Service(bundle, threads=threads, limits=limits),
        bundle,
        host=host,
        port=port,
        watch_seconds=watch,
        stop_seconds=stop_seconds,
        announce=lambda line: click.echo(line, err=True),
    )
