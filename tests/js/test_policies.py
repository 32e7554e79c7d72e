"""A page under a Content-Security-Policy: what it needs, and the error that names the setting."""

import pytest
from driving import JavaScriptError, Place
from hosting import serving

STRICT = "default-src 'none'; script-src 'self' 'unsafe-eval'; connect-src 'self'"
# The test's own code is evaluated and needs 'unsafe-eval', which permits WebAssembly too.
EVAL_FREE = "default-src 'none'; script-src 'self'{wasm}; connect-src 'self'{more}"

# The only script of the page is a separate file, which a strict policy requires.
HTML = '<!doctype html><script type="module" src="strict.js"></script>'
SCRIPT = """
import { load } from "./rnvp-runtime/src/index.js";
const ORT = { ort: "onnxruntime-web/dist/ort.wasm.min.js" };
const ort = (engine) => (engine === "native" ? {} : ORT);
const told = (promise) => Promise.race([
  promise.then(({ x }) => x.shape.join(), ({ name, message }) => `${name}: ${message}`),
  new Promise((resolve) => setTimeout(resolve, 20000, "waits")),
]);
async function main() {
  const flow = await load("model.rnvp", { ...ort(window.options.engine), ...window.options });
  const first = await told(flow.sample(5));
  return [first, await told(flow.sample(5))];
}
window.run = (options) => { window.options = options; return main(); };
"""
VISIT = """
const page = await newPage();
try {
  await page.goto(args.url);
  await page.waitForFunction(() => window.run);
  return await page.evaluate((options) => window.run(options), args.options);
} finally { await page.context().close(); }
"""


@pytest.fixture
def visit(driver, root, site):
    """Return a function that draws two samples in a page under a policy."""
    page = site("unconditional")
    (page / "strict.html").write_text(HTML)
    (page / "strict.js").write_text(SCRIPT)

    def run(policy: str, **options):
        with serving(root, headers={"Content-Security-Policy": policy}) as url:
            return driver.run(VISIT, url=f"{url}/{page.name}/strict.html", options=options)

    yield run
    (page / "strict.html").unlink()
    (page / "strict.js").unlink()


@pytest.mark.parametrize("engine", ["native", "onnxruntime"])
def test_the_documented_policy_is_enough(visit, engine: str) -> None:
    """docs/javascript.md recommends this policy."""
    policy = EVAL_FREE.format(wasm=" 'wasm-unsafe-eval'", more="; worker-src 'self'")
    assert visit(policy, engine=engine) == ["5,2", "5,2"]
    assert visit(policy, engine=engine, worker=False) == ["5,2", "5,2"]


def test_without_workers_every_call_is_rejected(visit) -> None:
    """If the policy forbids workers, every call rejects with an error that says what to change."""
    policy = EVAL_FREE.format(wasm=" 'wasm-unsafe-eval'", more="; worker-src 'none'")
    one, other = visit(policy)
    assert one == other
    assert one == (
        "EngineError: the page's Content-Security-Policy forbids the worker: add worker-src 'self' "
        "to it, or pass {worker: false} to run on this thread"
    )


def test_without_workers_it_runs_on_the_pages_thread(visit) -> None:
    """If the policy forbids workers, a flow with ``worker: false`` draws samples."""
    policy = EVAL_FREE.format(wasm=" 'wasm-unsafe-eval'", more="; worker-src 'none'")
    assert visit(policy, worker=False) == ["5,2", "5,2"]


@pytest.mark.parametrize("engine", ["native", "onnxruntime"])
@pytest.mark.parametrize("worker", [True, False])
def test_without_wasm_the_error_names_the_policy(visit, engine: str, worker: bool) -> None:
    """If the policy forbids WebAssembly, the error says what to add to script-src."""
    policy = EVAL_FREE.format(wasm="", more="; worker-src 'self'")
    one, other = visit(policy, engine=engine, worker=worker)
    assert one == other
    assert one.startswith("EngineError: WebAssembly is forbidden here (")
    assert "add 'wasm-unsafe-eval' to script-src of the Content-Security-Policy" in one


def test_without_connections_the_error_names_the_policy(driver, root, site) -> None:
    """If the policy forbids connections, load gives a BundleError that names connect-src."""
    page = site("unconditional")
    policy = STRICT.replace("connect-src 'self'", "connect-src 'none'")
    with (
        serving(root, headers={"Content-Security-Policy": policy}) as url,
        pytest.raises(JavaScriptError, match=r"BundleError: .* cannot be fetched: .*connect-src"),
    ):
        Place(driver, url, "chromium").run("return load(args.source);", page)
