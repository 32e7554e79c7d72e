"""Tests of a real rnvp-serve process with tritonclient, urllib and sockets."""

import json
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnvp_runtime
from rnvp_runtime.padded_rows import padded_log_prob
from tests.runtime.conftest import bundle, conditional_bundle, make_bundle, write_bundle
from tests.scale.serving import Server, serving

__all__ = ["bundle", "conditional_bundle", "make_bundle"]

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

INFER = "/v2/models/density/infer"


@pytest.fixture(scope="module")
def full_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with all four graphs and a context."""
    folder = tmp_path_factory.mktemp("served") / "model.rnvp"
    return write_bundle(folder, dim=3, context_dim=1, gradient=True)


@pytest.fixture(scope="module")
def server(full_bundle: Path) -> Iterator[Server]:
    """A server with small limits that all tests of requests share."""
    options = ("--max-body", 200_000, "--max-rows", 5000, "--read-seconds", 1.5)
    with serving(full_bundle, *options) as found:
        yield found
        assert found.process.poll() is None, "the server has ended"


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """NVIDIA's client of the protocol."""
    http = pytest.importorskip("tritonclient.http")
    with http.InferenceServerClient(server.address) as found:
        yield found


def rows(n: int, width: int, seed: int = 0) -> Any:
    """Normal numbers of shape (n, width) in float32."""
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def test_the_server_and_its_models_describe_themselves(client: Any, full_bundle: Path) -> None:
    """tritonclient reads health, server metadata and model metadata."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    manifest = rnvp_runtime.load(full_bundle).manifest
    for model in ("density", "inverse", "sampler", "gradient"):
        assert client.is_model_ready(model)
        assert client.is_model_ready(model, manifest.id)
        found = client.get_model_metadata(model)
        assert found["versions"] == [manifest.id]
        names = [spec.name for spec in manifest.graphs[model].inputs]
        assert [entry["name"] for entry in found["inputs"]] == names
    assert client.get_model_metadata("density")["inputs"][0] == {
        "name": "x",
        "datatype": "FP32",
        "shape": [-1, 3],
    }
    assert not client.is_model_ready("other")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("model", ["density", "inverse", "gradient", "sampler"])
def test_every_graph_gives_the_librarys_numbers(
    client: Any, full_bundle: Path, model: str, binary: bool
) -> None:
    """The numbers agree bit for bit, in JSON and in binary tensors."""
    http = pytest.importorskip("tritonclient.http")
    flow = rnvp_runtime.load(full_bundle)
    x, context = rows(64, 3), rows(64, 1, seed=1)
    names: tuple[str, ...]
    known: tuple[Any, ...]
    if model == "sampler":
        values = {"seed": [7], "start": [3], "count": [64]}
        given = {name: np.array(value, np.int64) for name, value in values.items()}
        given |= {"temperature": np.array([0.5], np.float32), "context": context}
        options = {"seed": 7, "start": 3, "temperature": 0.5, "context": context}
        names = ("x", "log_prob")
        known = flow.sample(64, **options, return_log_prob=True)
    elif model == "gradient":
        given, names = {"x": x, "context": context}, ("log_prob", "grad_x", "grad_context")
        known = flow.log_prob_and_grad(x, context)
    else:
        name, names = ("x", ("z", "log_prob")) if model == "density" else ("z", ("x", "log_prob"))
        given = {name: x, "context": context}
        method = flow.forward if model == "density" else flow.inverse
        known = method(x, context, return_log_prob=True)
    inputs = []
    for name, array in given.items():
        kind = {"float32": "FP32", "int64": "INT64"}[array.dtype.name]
        inputs.append(http.InferInput(name, list(array.shape), kind))
        inputs[-1].set_data_from_numpy(array, binary_data=binary)
    asked = [http.InferRequestedOutput(name, binary_data=binary) for name in names]
    answer = client.infer(model, inputs, outputs=asked, request_id="17")
    assert answer.get_response()["id"] == "17"
    for name, expected in zip(names, known, strict=True):
        np.testing.assert_array_equal(answer.as_numpy(name), expected)


def test_all_outputs_without_a_choice_and_only_the_chosen(server: Server) -> None:
    """If the request names no outputs, the answer has all of them."""
    given = {"x": rows(2, 3), "context": rows(2, 1)}
    status, answer = server.infer("density", **given)
    assert status == 200
    assert {output["name"] for output in answer["outputs"]} == {"log_prob", "z"}
    inputs = [
        {"name": n, "shape": list(a.shape), "datatype": "FP32", "data": a.tolist()}
        for n, a in given.items()
    ]
    status, one = server.post(INFER, {"inputs": inputs, "outputs": [{"name": "log_prob"}]})
    [chosen] = one["outputs"]
    assert chosen == next(o for o in answer["outputs"] if o["name"] == "log_prob")


def test_no_rows_are_an_answer(server: Server) -> None:
    """The outputs have shapes (0,) and (0, 3)."""
    status, answer = server.infer("density", x=rows(0, 3), context=rows(0, 1))
    assert status == 200
    assert {tuple(output["shape"]) for output in answer["outputs"]} == {(0,), (0, 3)}


def test_many_clients_with_mixed_sizes(server: Server, full_bundle: Path) -> None:
    """Requests that are computed together get the same rows as alone."""
    flow = rnvp_runtime.load(full_bundle)

    def one(i: int) -> None:
        x, context = rows(1 + i * 7 % 90, 3, seed=i), rows(1 + i * 7 % 90, 1, seed=-i % 1000)
        status, answer = server.infer("density", x=x, context=context)
        assert status == 200, answer
        found = next(o["data"] for o in answer["outputs"] if o["name"] == "log_prob")
        expected = padded_log_prob(flow, x, context)
        np.testing.assert_array_equal(np.array(found, np.float32), expected)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(200)))
    _, text = server.get("/metrics")
    batches = re.search(rb'rnvp_batch_rows_count\{model="density"\} (\d+)', text)
    requests = re.search(rb'rnvp_requests_total\{model="density",status="200"\} (\d+)', text)
    assert batches is not None
    assert requests is not None
    assert int(batches.group(1)) < int(requests.group(1)), "no requests were computed together"


X = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
C = {"name": "context", "shape": [1, 1], "datatype": "FP32", "data": [1]}
BAD = {
    "not JSON": (b"{", 400, "is not JSON"),
    "nothing": (b"", 400, "is not JSON"),
    "a list": ([], 400, "not a JSON object"),
    "deep": (b"[" * 100_000, 400, "is not JSON"),
    "no inputs": ({}, 400, "has no inputs"),
    "inputs of text": ({"inputs": "x"}, 400, "not a list of objects"),
    "twice": ({"inputs": [X, X]}, 400, "given twice"),
    "unknown input": ({"inputs": [{**X, "name": "y"}]}, 400, "no input 'y'"),
    "missing input": ({"inputs": [X]}, 400, "needs the input 'context'"),
    "shape": ({"inputs": [{**X, "shape": [3]}, C]}, 400, "expected [n, 3]"),
    "too few": ({"inputs": [{**X, "shape": [2, 3]}, C]}, 400, "its shape (2, 3) needs others"),
    "negative": ({"inputs": [{**X, "shape": [-1, 3]}, C]}, 400, "up to 8 counts"),
    "huge": ({"inputs": [{**X, "shape": [1 << 39, 1 << 39]}, C]}, 400, "can hold so many"),
    "huge, of no numbers": (
        {"inputs": [{**X, "shape": [1 << 39, 1 << 39, 0], "data": []}, C]},
        400,
        "can hold so many",
    ),
    "huge, of no bytes": (
        {"inputs": [{**X, "shape": [0, 1 << 39, 9], "parameters": {"binary_data_size": 0}}, C]},
        400,
        "can hold so many",
    ),
    "a flag of text": (
        {"inputs": [X, C], "outputs": [{"name": "z", "parameters": {"binary_data": "false"}}]},
        400,
        "expected true or false",
    ),
    "true": ({"inputs": [{**X, "shape": [True, 3]}, C]}, 400, "up to 8 counts"),
    "text": ({"inputs": [{**X, "data": ["a", "b", "c"]}, C]}, 400, "not an array of numbers"),
    "ragged": ({"inputs": [{**X, "data": [[1], [2, 3]]}, C]}, 400, "not an array of numbers"),
    "null": ({"inputs": [{**X, "data": [1, None, 3]}, C]}, 400, "not an array of numbers"),
    "datatype": ({"inputs": [{**X, "datatype": "BYTES"}, C]}, 400, "expected FP32"),
    "rows": ({"inputs": [X, {**C, "shape": [2, 1], "data": [1, 2]}]}, 400, "numbers of rows"),
    "NaN": (b'{"inputs":[{"name":"x","data":[NaN]}]}', 400, "NaN is not a number of JSON"),
    "infinity": (
        json.dumps({"inputs": [{**X, "data": [1, 2, 3.5]}, C]}).replace("3.5", "1e999").encode(),
        400,
        "infinity in row 0",
    ),
    "output": ({"inputs": [X, C], "outputs": [{"name": "y"}]}, 400, "no output 'y'"),
    "not finite": (
        {"inputs": [{**X, "data": [1e30, 2, 3]}, C]},
        422,
        "not a finite number, which JSON cannot hold",
    ),
    "large": (b" " * 300_000, 413, "more than 200,000 bytes"),
    "binary too short": (
        {"inputs": [{**X, "data": None, "parameters": {"binary_data_size": 12}}, C]},
        400,
        "ends 12 bytes before",
    ),
    "binary size": (
        {"inputs": [{**X, "parameters": {"binary_data_size": 13}}, C]},
        400,
        "takes 12 bytes, not 13",
    ),
    "parameters": ({"inputs": [{**X, "parameters": 3}, C]}, 400, "are not an object"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_requests_get_a_clear_4xx(server: Server, kind: str) -> None:
    """The answer has the status and an error as JSON, and the next request works."""
    body, status, text = BAD[kind]
    found, answer = server.post(INFER, body)
    assert (found, text in answer["error"]) == (status, True), answer
    assert server.infer("density", x=rows(1, 3), context=rows(1, 1))[0] == 200


@pytest.mark.parametrize("length", ["x", "-1", "999999", "9" * 40, "²"])
def test_a_wrong_length_of_the_json(server: Server, length: str) -> None:
    """The header for binary tensors is checked."""
    headers = {"Inference-Header-Content-Length": length.encode().decode("latin-1")}
    status, answer = server.post(INFER, {"inputs": [X, C]}, headers)
    assert status == 400
    assert "Inference-Header-Content-Length" in answer["error"]


def test_bytes_after_the_last_tensor(server: Server) -> None:
    """They are an error, since the client's request is ambiguous."""
    body = json.dumps({"inputs": [X, C]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(body))}
    status, answer = server.post(INFER, body + b"more", headers)
    assert (status, answer["error"]) == (400, "4 bytes follow the last tensor")


@pytest.mark.parametrize(
    ("given", "status", "text"),
    [
        ({"count": -1}, 400, "expected 0 to"),
        ({"count": 5001}, 413, "expected 0 to 5000"),
        ({"count": 1.5}, 400, "does not fit INT64"),
        ({"count": 2, "start": 2**63 - 1}, 400, "at most 2**63 - 1"),
        ({"count": 2, "temperature": -1.0}, 400, "temperature is -1"),
        ({"seed": 3}, 400, "needs the input 'count'"),
        ({"count": [1, 2]}, 400, "expected [1]"),
    ],
)
def test_bad_requests_for_samples(
    server: Server, given: dict[str, Any], status: int, text: str
) -> None:
    """Scalars that are out of range or missing are refused."""
    inputs = [
        {
            "name": name,
            "shape": [np.size(value)],
            "datatype": "FP32" if name == "temperature" else "INT64",
            "data": np.ravel(value).tolist(),
        }
        for name, value in given.items()
    ]
    found, answer = server.post("/v2/models/sampler/infer", {"inputs": [*inputs, C]})
    assert (found, text in answer["error"]) == (status, True), answer


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 404), ("/v2/models/other", 404), ("/v2/models/density/versions/9", 404), (INFER, 405)],
)
def test_paths_that_are_not_served(server: Server, path: str, status: int) -> None:
    """Errors of the framework are JSON with an error too."""
    found, answer = server.get(path)
    assert found == status
    assert answer["error"]


def test_a_compressed_body_is_refused(server: Server) -> None:
    """A compressed body could expand to any size."""
    status, answer = server.post(INFER, b"x", {"Content-Encoding": "gzip"})
    assert (status, answer["error"]) == (415, "a compressed body is not taken")


def raw(server: Server, *parts: bytes, pause: float = 0.0, close: bool = False) -> bytes:
    """The answer of the server to bytes on a socket.

    Args:
        server: The server.
        parts: Bytes that are sent in order.
        pause: Seconds to wait after each part.
        close: Whether to close the sending side after the last part.
    """
    host, _, port = server.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        if close:
            connection.shutdown(socket.SHUT_WR)
        found = b""
        while chunk := connection.recv(65536):
            found += chunk
        return found


HEAD = b"POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" % INFER.encode()


def test_slow_clients_get_408(server: Server) -> None:
    """A head or body that does not arrive in time gets the status 408."""
    assert raw(server, b"POST /v2").startswith(b"HTTP/1.1 408")
    slow_body = raw(server, HEAD + b"Content-Length: 100\r\n\r\n{")
    assert slow_body.startswith(b"HTTP/1.1 408")
    assert b"did not arrive within 1.5 s" in slow_body


def test_a_body_of_unknown_length_has_the_same_limit(server: Server) -> None:
    """The bytes of the chunks are counted."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    assert raw(server, head, *[chunk] * 4).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("start", [HEAD, HEAD.replace(b"Connection: close\r\n", b"")])
@pytest.mark.parametrize(
    ("status", "head"),
    [
        (b"413", b"Transfer-Encoding: chunked\r\n\r\n"),
        (b"413", b"Content-Length: 1000000\r\n\r\n"),
        (b"415", b"Content-Length: 100000\r\nContent-Encoding: gzip\r\n\r\n"),
        (b"404", b"Content-Length: 1000000\r\n\r\n"),
        (b"400", b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        (b"400", b"Transfer-Encoding: chunked\r\n\r\nnot a size\r\n"),
    ],
)
def test_a_refused_client_may_send_on(
    server: Server, start: bytes, status: bytes, head: bytes
) -> None:
    """A client that sends for a while after an early answer still reads that answer."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    if status == b"404":
        start = start.replace(b"/infer", b"/other")
    answer = raw(server, start + head, *[chunk] * 6, b"not a size\r\n", pause=0.05)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1") == 1


def test_a_refused_client_may_not_send_on_for_ever(server: Server) -> None:
    """The connection is closed after the time that a request may take."""
    head = HEAD + b"Content-Length: 1000000\r\n\r\n"
    with pytest.raises(ConnectionError):
        raw(server, head, *[b" "] * 300, pause=0.1)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no HTTP\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        b"GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % (b"a" * 100_000),
    ],
)
def test_requests_that_are_not_http_get_a_4xx(server: Server, sent: bytes) -> None:
    """TLS, a negative length and a path of 100,000 bytes are refused."""
    assert raw(server, sent).startswith(b"HTTP/1.1 4")
    assert server.get("/v2/health/live")[0] == 200


@pytest.mark.parametrize("sent", [HEAD, HEAD + b"Content-Length: 1000\r\n\r\n{"])
def test_half_closed_in_a_request(server: Server, sent: bytes) -> None:
    """A partial head and a partial body get a 400 at once."""
    answer = raw(server, sent, close=True)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"closed before the end of the request" in answer
    assert server.get("/v2/health/live")[0] == 200


def test_half_closed_after_a_request(server: Server) -> None:
    """The client gets its answer, and then the connection is closed."""
    body = json.dumps({"inputs": [X, C]}).encode()
    keeps = HEAD.replace(b"Connection: close\r\n", b"")
    answer = raw(server, keeps + b"Content-Length: %d\r\n\r\n" % len(body) + body, close=True)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"log_prob" in answer


@pytest.mark.parametrize("path", [INFER, "/v2/health/live"])
def test_half_closed_after_several_requests(server: Server, path: str) -> None:
    """Each of the requests that were sent is answered, and a part of one gets a 400."""
    body = json.dumps({"inputs": [X, C]}).encode() if path == INFER else b""
    head = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: a\r\n".encode()
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = raw(server, whole * 3, close=True)
    assert answer.count(b"HTTP/1.1 200") == 3
    answer = raw(server, whole * 3 + whole[:20], close=True)
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.count(b"HTTP/1.1 400") == 1


def test_clients_that_go_away(server: Server) -> None:
    """A client may close the connection at any time, and the server goes on."""
    host, _, port = server.address.partition(":")
    body = json.dumps({"inputs": [X, C]}).encode()
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    for sent in (b"", whole[:9], whole[:-9], whole) * 5:
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(sent)
    assert server.infer("density", x=rows(1, 3), context=rows(1, 1))[0] == 200


def test_a_bundle_is_swapped_without_a_dropped_request(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    """SIGHUP under load: each request is answered with the old or the new bundle."""
    first, other = make_bundle("first.rnvp"), make_bundle("other.rnvp")
    manifest = (other / "manifest.json").read_text()
    (other / "manifest.json").write_text(manifest.replace("0123456789abcdef", "fedcba9876543210"))
    served = shutil.copytree(first, tmp_path / "served.rnvp")
    versions: list[str] = []
    stop = threading.Event()

    def ask(server: Server) -> None:
        while not stop.is_set():
            status, answer = server.infer("density", x=rows(3, 2))
            assert status == 200
            versions.append(answer["model_version"])

    with serving(served) as server, ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, server) for _ in range(4)]
        try:
            time.sleep(0.3)
            shutil.rmtree(served)
            shutil.copytree(other, served)
            server.process.send_signal(signal.SIGHUP)
            assert "id fedcba9876543210" in server.next_line()
            time.sleep(0.3)
        finally:
            stop.set()
        for each in asking:
            each.result()
        assert b"rnvp_bundle_swaps_total 1" in server.get("/metrics")[1]
    assert set(versions) == {"0123456789abcdef", "fedcba9876543210"}


def test_a_bundle_that_does_not_fit_is_not_swapped(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    """For other columns or a damaged bundle the server reports it and keeps the old one."""
    served = shutil.copytree(make_bundle("first.rnvp"), tmp_path / "served.rnvp")
    with serving(served, "--watch", 0.1) as server:
        shutil.rmtree(served)
        shutil.copytree(make_bundle("wide.rnvp", dim=4), served)
        assert "is not served" in server.next_line()
        (served / "manifest.json").write_text("{}")
        assert "is not served" in server.next_line()
        assert server.infer("density", x=rows(2, 2))[0] == 200


def test_a_stop_waits_for_the_requests_that_have_begun(bundle: Path) -> None:
    """A request whose body arrives after SIGTERM is answered before the process ends."""
    body = json.dumps({"inputs": [{**X, "shape": [1, 2], "data": [1, 2]}]}).encode()
    with serving(bundle) as server:
        host, _, port = server.address.partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body[:10])
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(body[10:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        server.process.wait(timeout=30)


def test_a_port_that_is_taken(bundle: Path) -> None:
    """The exit code is 1, and the error recommends another port without a traceback."""
    import subprocess
    import sys

    from tests.scale.serving import COMMAND

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [
            sys.executable,
            "-c",
            COMMAND,
            str(bundle),
            "--port",
            str(taken.getsockname()[1]),
        ]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "choose another --port" in found.stderr
    assert "Traceback" not in found.stderr
