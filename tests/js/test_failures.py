"""If a flow is closed, or its engine or worker fails, every call rejects and none hangs."""

import base64
import shutil

import pytest
from driving import Place

# The state of a promise after at most 20 s: its error's name and message, "fulfilled" or "waits".
TOLD = """
const told = (promise) => Promise.race([
  promise.then(() => "fulfilled", ({ name, message }) => `${name}: ${message}`),
  new Promise((resolve) => setTimeout(resolve, 20000, "waits")),
]);
"""
CALLS = "[flow.sample(5), flow.logProb([[0, 0]]), flow.forward([[0, 0]]), flow.inverse([[0, 0]])]"


@pytest.fixture
def page(site):
    return site("unconditional")


@pytest.fixture
def own(site, root):
    """A copy of a page, which the test may damage."""
    target = root / "failing"
    shutil.copytree(site("unconditional"), target)
    yield target
    shutil.rmtree(target)


@pytest.fixture
def chromium(driver, server) -> Place:
    return Place(driver, server, "chromium")


@pytest.mark.parametrize("used", [False, True])
def test_calls_after_close_are_rejected(place, page, used: bool) -> None:
    """After close every call rejects with a ClosedError, whether or not the flow was used."""
    found = place.run(
        f"""
        {TOLD}
        const flow = await load(args.source);
        if (args.used) await flow.sample(5);
        await flow.close();
        return Promise.all({CALLS}.map(told));
        """,
        page,
        used=used,
    )
    assert found == ["ClosedError: the flow was closed: load the bundle again"] * 4


def test_calls_under_way_are_rejected_by_close(place, page) -> None:
    """close rejects the calls that are running with a ClosedError."""
    found = place.run(
        f"""
        {TOLD}
        const flow = await load(args.source);
        await flow.sample(5);
        const drawing = [1, 2, 3].map((seed) => told(flow.sample(300000, {{ seed }})));
        await flow.close();
        return Promise.all(drawing);
        """,
        page,
    )
    assert found == ["ClosedError: the flow was closed: load the bundle again"] * 3


def test_closing_during_the_first_call_rejects_it(place, page) -> None:
    """close rejects a first call that is running with a ClosedError."""
    found = place.run(
        f"""
        {TOLD}
        const flow = await load(args.source);
        const drawing = told(flow.sample(5));
        await flow.close();
        return drawing;
        """,
        page,
    )
    assert found.startswith("ClosedError")


def test_close_may_be_called_again(place, page) -> None:
    """Two calls of close on the same flow are both fulfilled."""
    found = place.run(
        f"""
        {TOLD}
        const flow = await load(args.source);
        return Promise.all([flow.close(), flow.close()].map(told));
        """,
        page,
    )
    assert found == ["fulfilled", "fulfilled"]


def test_another_flow_of_the_bundle_goes_on(place, page) -> None:
    """A flow still draws samples after another flow of the same bundle is closed."""
    shape = place.run(
        """
        const [one, other] = [await load(args.source), await load(args.source)];
        await Promise.all([one.sample(5), other.sample(5)]);
        await one.close();
        return (await other.sample(5)).x.shape;
        """,
        page,
    )
    assert shape == [5, 2]


def test_a_worker_that_stops_rejects_the_calls_that_wait_and_all_later_ones(chromium, page) -> None:
    """The worker throws an error in the middle of a run and does not catch it."""
    found = chromium.run(
        f"""
        {TOLD}
        const text = `
          addEventListener("message", ({{ data }}) => {{
            if (data.open) postMessage({{ id: data.id, result: 0 }});
            if (data.run) throw new Error("out of memory");
          }});`;
        const script = URL.createObjectURL(new Blob([text], {{ type: "text/javascript" }}));
        const flow = await load(args.source, {{ worker: script }});
        const first = await Promise.all({CALLS}.map(told));
        return [...first, ...await Promise.all({CALLS}.map(told))];
        """,
        page,
    )
    assert len(set(found)) == 1
    assert found[0] == "EngineError: the worker stopped: Uncaught Error: out of memory"


def test_a_worker_that_is_missing_rejects_every_call(chromium, own) -> None:
    """A missing worker script rejects every call with an error that gives its URL and the 404."""
    (own / "rnvp-runtime" / "src" / "worker.js").unlink()
    found = chromium.run(
        f"""
        {TOLD}
        const flow = await load(args.source);
        await told(flow.sample(5));
        return Promise.all({CALLS}.map(told));
        """,
        own,
    )
    assert len(set(found)) == 1
    assert found[0].startswith("EngineError: the worker's script http://127.0.0.1")
    assert "worker.js cannot be loaded (the server answers 404): see 'Bundlers'" in found[0]


def test_a_worker_that_imports_a_missing_module_rejects(chromium, own) -> None:
    """A call rejects with an EngineError if a script that the worker imports is missing."""
    worker = own / "rnvp-runtime" / "src" / "worker.js"
    worker.write_text('import "./missing.js";\n' + worker.read_text())
    found = chromium.run(
        f"{TOLD} const flow = await load(args.source); return told(flow.sample(5));", own
    )
    assert found.startswith("EngineError: the worker's script")
    assert "a script that it imports, fails to start" in found


def test_a_worker_that_cannot_be_made_rejects(chromium, page) -> None:
    """A browser refuses a worker script of another origin at once."""
    found = chromium.run(
        f"""
        {TOLD}
        const flow = await load(args.source, {{ worker: "https://example.org/worker.js" }});
        return Promise.all([told(flow.sample(5)), told(flow.sample(5))]);
        """,
        page,
    )
    assert all(text.startswith("EngineError: the worker cannot be started: ") for text in found)


def test_a_worker_of_the_caller_is_used(chromium, page) -> None:
    """The caller gives the URL of a script or a function."""
    found = chromium.run(
        """
        const url = new URL(args.source + "/../rnvp-runtime/src/worker.js");
        const made = [];
        const make = () => (made.push(1), new Worker(url, { type: "module" }));
        const flows = await Promise.all([url, url.href, make].map(
          (worker) => load(args.source, { worker })));
        const drawn = await Promise.all(flows.map((flow) => flow.sample(5, { seed: 1 })));
        return [drawn.map(({ x }) => x.shape[0]), made.length];
        """,
        page,
    )
    assert found == [[5, 5, 5], 1]


def test_without_a_worker_the_flow_runs_on_the_pages_thread(chromium, page) -> None:
    """With ``worker: false`` a page draws samples and creates no Worker."""
    found = chromium.run(
        """
        const made = [];
        const Original = Worker;
        globalThis.Worker = class extends Original {
          constructor(...given) { super(...given); made.push(given); }
        };
        const flow = await load(args.source, { worker: false });
        const { x } = await flow.sample(5);
        return [x.shape[0], made.length];
        """,
        page,
    )
    assert found == [5, 0]


def test_an_engine_that_cannot_start_rejects_every_call(place, page) -> None:
    """In this test the address ``ort`` has no onnxruntime-web."""
    found = place.run(
        f"""
        {TOLD}
        const nowhere = "http://127.0.0.1:9/nowhere";
        const flow = await load(args.source, {{ engine: "onnxruntime", ort: nowhere }});
        return Promise.all([...{CALLS}, ...{CALLS}].map(told));
        """,
        page,
    )
    assert len(set(found)) == 1
    assert found[0].startswith(
        "EngineError: onnxruntime-web cannot be loaded from http://127.0.0.1:9/nowhere/ort.wasm.min.mjs"
    )


def test_a_graph_that_could_not_be_fetched_is_tried_again(place, own) -> None:
    """A network may fail for a moment, so the failure is not remembered."""
    flow = own / "model.rnvp" / "flow.bin"
    content = flow.read_bytes()
    flow.unlink()
    code = f"""
        {TOLD}
        const flow = await load(args.source);
        const before = await told(flow.sample(5));
        await args.restore();
        return [before, await told(flow.sample(5))];
    """
    restore = (
        'const { writeFile } = await import("node:fs/promises");'
        "args.restore = () => writeFile(args.path, Buffer.from(args.content, 'base64'));"
    )
    if place.kind == "chromium":
        # The page fetches a copy of the file under a second name.
        (own / "model.rnvp" / "kept").write_bytes(content)
        restore = """
            let missing = true;
            args.restore = async () => { missing = false; };
            const original = fetch;
            globalThis.fetch = (url, init) =>
              !missing && /flow/.test(url) ? original(url.replace("flow.bin", "kept"), init)
                : original(url, init);
        """
    found = place.run(
        restore + code, own, path=str(flow), content=base64.b64encode(content).decode()
    )
    assert found[0].startswith("BundleError")
    assert found[1] == "fulfilled"
