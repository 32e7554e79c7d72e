"""A bundle is replaced: by a redeploy behind a cache, or while a flow of it is loaded."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bundles import export
from driving import JavaScriptError
from hosting import serving

import rnvp_runtime

SAMPLE = "return (await flow.sample(5, { seed: 1 })).x.data;"


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> dict[str, Path]:
    """Two exports with the same columns, and one with other columns."""
    folder = tmp_path_factory.mktemp("exports")
    for name, dim, seed in (("old", 2, 1), ("new", 2, 2), ("wider", 3, 3)):
        export(folder / name, dim=dim, seed=seed)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def own(site, root, exports):
    """A page of its own with the old export as its bundle."""
    target = root / "replaced"
    shutil.copytree(site("unconditional"), target)
    put(target, exports["old"])
    yield target
    shutil.rmtree(target)


def put(page: Path, export: Path, *names: str) -> None:
    """Replace the bundle of ``page``, or only the files called ``names``."""
    bundle = page / "model.rnvp"
    if not names:
        shutil.rmtree(bundle)
        shutil.copytree(export, bundle)
    for name in names:
        shutil.copyfile(export / name, bundle / name)


def sampled(bundle: Path):
    return rnvp_runtime.load(bundle).sample(5, seed=1).ravel()


CACHED = """
const page = await newPage();
try {
  const run = async (replaced) => {
    await page.goto(args.url + "icon.svg");
    return page.evaluate(async ({ source, script, ort, bodies }) => {
      const { load } = await import(script);
      const found = [];
      for (const body of bodies) {
        const code = new (async () => {}).constructor("load", "source", "ort", body);
        found.push(packed(await code(load, source, ort)));
      }
      return found;
    }, {
      source: args.url + "model.rnvp", script: args.url + "rnvp-runtime/src/index.js",
      ort: args.url + "onnxruntime-web/dist/ort.wasm.min.js", bodies: args.bodies,
    });
  };
  const before = await run();
  const { rename } = await import("node:fs/promises");
  await rename(args.path, args.path + ".old");
  await rename(args.next, args.path);
  return [before, await run()];
} finally { await page.context().close(); }
"""


def test_after_a_redeploy_a_cached_file_does_not_matter(driver, root, own, exports) -> None:
    """The page draws from the new flow, though the browser may keep every file for an hour."""
    shutil.copytree(exports["new"], own / "next.rnvp")
    draw = f"const flow = await load(source, {{ ort }}); {SAMPLE}"
    with serving(root, headers={"Cache-Control": "max-age=3600"}) as url:
        before, after = driver.run(
            CACHED,
            url=f"{url}/{own.name}/",
            path=str(own / "model.rnvp"),
            next=str(own / "next.rnvp"),
            bodies=[draw],
        )
    np.testing.assert_allclose(before[0], sampled(exports["old"]), atol=1e-4)
    np.testing.assert_allclose(after[0], sampled(exports["new"]), atol=1e-4)


def test_a_stale_manifest_and_a_new_graph(driver, root, own, exports) -> None:
    """A proxy answers with the old manifest until a request bypasses its cache."""
    put(own, exports["new"])
    shutil.copyfile(exports["old"] / "manifest.json", own / "stale.json")
    code = """
        const stale = (url, init) => /manifest/.test(url) && init.cache !== "reload"
          ? fetch(new URL("../stale.json", url)) : fetch(url, init);
        const flow = await load(args.source, { fetch: stale });
        const before = flow.manifest.id;
        const { x } = await flow.sample(5, { seed: 1 });
        return [x.data, before, flow.manifest.id, await flow.logProb(x)];
    """
    with serving(root) as url:
        x, before, after, _ = driver.run(code, source=f"{url}/{own.name}/model.rnvp")
    np.testing.assert_allclose(x, sampled(exports["new"]), atol=1e-4)
    ids = [json.loads((exports[n] / "manifest.json").read_text())["id"] for n in ("old", "new")]
    assert [before, after] == ids


def test_a_new_manifest_and_a_stale_graph(driver, root, own, exports) -> None:
    """If a cache gives the old flow.bin, the flow bypasses it and draws the new samples."""
    put(own, exports["new"])
    shutil.copyfile(exports["old"] / "flow.bin", own / "stale.bin")
    code = """
        const stale = (url, init) => /flow/.test(url) && init.cache !== "reload"
          ? fetch(new URL("../stale.bin", url)) : fetch(url, init);
        const flow = await load(args.source, { fetch: stale });
        return (await flow.sample(5, { seed: 1 })).x.data;
    """
    with serving(root) as url:
        x = driver.run(code, source=f"{url}/{own.name}/model.rnvp")
    np.testing.assert_allclose(x, sampled(exports["new"]), atol=1e-4)


@pytest.mark.parametrize("how", ["path", "url"])
def test_replaced_before_first_use_the_new_bundle_is_used(driver, root, own, exports, how) -> None:
    """A flow whose bundle is replaced before the first call draws the new bundle's samples."""
    code = REPLACED.format(before="", after=SAMPLE)
    x = replacing(driver, root, own, exports["new"], code, how)
    np.testing.assert_allclose(x, sampled(exports["new"]), atol=1e-4)


def test_replaced_before_first_use_two_graphs_opened_together_are_of_one_export(
    driver, root, own, exports
) -> None:
    """Two concurrent first calls after a replacement both use the new bundle."""
    code = REPLACED.format(
        before="",
        after="""
        const [{ x }, z] = await Promise.all(
          [flow.sample(5, { seed: 1 }), flow.forward([[0, 0], [1, 1]])]);
        return [x.data, z.logProb];
        """,
    )
    x, log_prob = replacing(driver, root, own, exports["new"], code, "url")
    np.testing.assert_allclose(x, sampled(exports["new"]), atol=1e-4)
    expected = rnvp_runtime.load(exports["new"]).log_prob([[0, 0], [1, 1]])
    np.testing.assert_allclose(log_prob, expected, atol=1e-4)


@pytest.mark.parametrize("how", ["path", "url"])
def test_replaced_after_first_use_it_says_so(driver, root, own, exports, how) -> None:
    """Graphs of two exports are never mixed. With ONNX each graph is a separate file."""
    code = REPLACED.format(before="await flow.sample(5);", after="return flow.logProb([[0, 0]]);")
    code = code.replace("load(args.source)", 'load(args.source, { engine: "onnxruntime" })')
    with pytest.raises(JavaScriptError, match="was replaced since it was loaded: load it again"):
        replacing(driver, root, own, exports["new"], code, how)


def test_replaced_after_first_use_open_graphs_go_on(driver, root, own, exports) -> None:
    """A graph that was used before the replacement still gives the old bundle's samples."""
    code = REPLACED.format(before="await flow.sample(1);", after=SAMPLE)
    x = replacing(driver, root, own, exports["new"], code, "path")
    np.testing.assert_allclose(x, sampled(exports["old"]), atol=1e-4)


def test_replaced_after_first_use_other_graphs_of_the_file_go_on(
    driver, root, own, exports
) -> None:
    """flow.bin holds all graphs and is read once."""
    code = REPLACED.format(before="await flow.sample(1);", after="return flow.logProb([[0, 0]]);")
    log_prob = replacing(driver, root, own, exports["new"], code, "path")
    expected = rnvp_runtime.load(exports["old"]).log_prob([[0, 0]])
    np.testing.assert_allclose(log_prob, expected, atol=1e-4)


def test_replaced_by_a_bundle_with_other_columns_it_says_so(driver, root, own, exports) -> None:
    """If the new bundle has other columns, the first call fails and says to load it again."""
    code = REPLACED.format(before="", after=SAMPLE)
    with pytest.raises(JavaScriptError, match="was replaced since it was loaded: load it again"):
        replacing(driver, root, own, exports["wider"], code, "url")


def test_a_bundle_that_is_gone_says_what_is_missing(driver, root, own) -> None:
    """If the bundle is deleted after load, the error names the missing flow.bin."""
    code = """
        const { rm } = await import("node:fs/promises");
        const flow = await load(args.source);
        await rm(args.source, { recursive: true });
        return flow.sample(5);
    """
    with pytest.raises(JavaScriptError, match=r"has no flow\.bin: copy the whole bundle again"):
        driver.run(code, source=str(own / "model.rnvp"))


REPLACED = """
const {{ rename }} = await import("node:fs/promises");
const flow = await load(args.source);
{before}
await rename(args.path, args.path + ".old");
await rename(args.next, args.path);
{after}
"""


def replacing(driver, root, own, export, code, how):
    shutil.copytree(export, own / "next.rnvp")
    path = str(own / "model.rnvp")
    args = {"path": path, "next": str(own / "next.rnvp")}
    if how == "path":
        return driver.run(code, source=path, **args)
    with serving(root) as url:
        return driver.run(code, source=f"{url}/{own.name}/model.rnvp", **args)
