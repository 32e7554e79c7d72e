"""The paths of the server, as an ASGI application on Starlette."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rnvp_runtime.extras import import_extra
from rnvp_runtime.serving.graphs import metadata
from rnvp_runtime.serving.protocol import ProtocolError
from rnvp_runtime.serving.service import Service

__all__ = ["application"]

_LOG = logging.getLogger("rnvp_runtime.serving")
_JSON_LENGTH = "Inference-Header-Content-Length"


def application(service: Service, lifespan: Callable[..., Any] | None = None) -> Any:
    """The ASGI application.

    Args:
        service: answers the requests.
        lifespan: of Starlette: what surrounds the time in which requests are taken.

    Raises:
        MissingExtraError: Starlette is not installed.
    """
    applications = import_extra("starlette.applications")
    route = import_extra("starlette.routing").Route
    responses = import_extra("starlette.responses")
    http_error = import_extra("starlette.exceptions").HTTPException
    disconnected = import_extra("starlette.requests").ClientDisconnect

    def failed(text: str, status: int) -> Any:
        headers = {"Retry-After": "1"} if status == 503 else {}
        if status in (408, 413, 415):  # the body was not read to its end
            headers["Connection"] = "close"
        return responses.JSONResponse({"error": text}, status, headers)

    async def live(request: Any) -> Any:
        return responses.JSONResponse({"live": True})

    async def ready(request: Any) -> Any:
        return responses.JSONResponse({"ready": service.ready}, 200 if service.ready else 503)

    async def server(request: Any) -> Any:
        return responses.JSONResponse(
            {
                "name": "rnvp-serve",
                "version": _version(),
                "extensions": ["binary_tensor_data"],
            }
        )

    async def model(request: Any) -> Any:
        name = request.path_params["model"]
        service.check_model(name, request.path_params.get("version"))
        return responses.JSONResponse(metadata(service.flow, name))

    async def model_ready(request: Any) -> Any:
        name = request.path_params["model"]
        service.check_model(name, request.path_params.get("version"))
        body = {"name": name, "ready": service.ready}
        return responses.JSONResponse(body, 200 if service.ready else 503)

    async def infer(request: Any) -> Any:
        name, began, rows = request.path_params["model"], time.perf_counter(), 0
        status = 500
        try:
            body = await _body(request, service)
            answer, rows = await service.infer(
                name, request.path_params.get("version"), body, request.headers.get(_JSON_LENGTH)
            )
            status = 200
        except ProtocolError as error:
            status = error.status
            return failed(str(error), status)
        except disconnected:
            status = 499  # nobody reads the answer
            return failed("the client has gone", 400)
        finally:
            known = name if name in service.flow.manifest.graphs else "unknown"
            service.metrics.request(known, status, time.perf_counter() - began, rows)
        if answer.json_bytes is None:
            return responses.Response(answer.body, media_type="application/json")
        headers = {_JSON_LENGTH: str(answer.json_bytes)}
        return responses.Response(answer.body, 200, headers, "application/octet-stream")

    async def metrics(request: Any) -> Any:
        text = service.metrics.text(service.flow.manifest.id)
        return responses.PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def on_protocol_error(request: Any, error: ProtocolError) -> Any:
        return failed(str(error), error.status)

    async def on_http_error(request: Any, error: Any) -> Any:
        return failed(
            f"{request.method} {request.url.path[:80]}: {error.detail}", error.status_code
        )

    async def on_defect(request: Any, error: Exception) -> Any:
        _LOG.exception("a request failed", exc_info=error)
        return failed("internal error, see the server's log", 500)

    def both(suffix: str, endpoint: Callable[[Any], Awaitable[Any]], methods: list[str]) -> Any:
        paths = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
        return [route(path + suffix, endpoint, methods=methods) for path in paths]

    return applications.Starlette(
        routes=[
            route("/v2/health/live", live),
            route("/v2/health/ready", ready),
            route("/v2", server),
            route("/metrics", metrics),
            *both("", model, ["GET"]),
            *both("/ready", model_ready, ["GET"]),
            *both("/infer", infer, ["POST"]),
        ],
        exception_handlers={
            ProtocolError: on_protocol_error,
            http_error: on_http_error,
            Exception: on_defect,
        },
        lifespan=lifespan,
    )


async def _body(request: Any, service: Service) -> bytes:
    """The body of a request, read within the limits."""
    most, seconds = service.limits.body_bytes, service.limits.read_seconds
    too_large = ProtocolError(f"the body has more than {most:,} bytes", 413)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProtocolError("a compressed body is not taken", 415)
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most:
        raise too_large
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        raise ProtocolError(f"the body did not arrive within {seconds:g} s", 408) from None
    return b"".join(chunks)


def _version() -> str:
    try:
        return version("rnvp-deploy")
    except PackageNotFoundError:  # the packages are on the path, and not installed
        return "unknown"
