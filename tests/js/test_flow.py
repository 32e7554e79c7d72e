"""`load` and the methods of a flow in Node. Tests of what may differ run in a page too."""

import json

import numpy as np
import pytest

import rnvp_runtime

ROWS = [[0.5, 1.0], [-1.0, 2.5], [3.0, float("inf")]]


@pytest.fixture
def page(site):
    return site("unconditional")


@pytest.fixture
def flow(page) -> rnvp_runtime.Flow:
    return rnvp_runtime.load(page / "model.rnvp")


@pytest.fixture
def node(driver, page):
    """Return a function that runs code in Node with a loaded ``flow``."""

    def run(code: str, **args):
        code = f"const flow = await load(args.source); {code}"
        return driver.run(code, source=str(page / "model.rnvp"), **args)

    return run


def test_forward_and_inverse_are_pythons(place, page, flow) -> None:
    """z and log_prob agree with Python, and inverse returns the original rows."""
    found = place.run(
        """
        const flow = await load(args.source);
        const { z, logProb } = await flow.forward(args.x);
        const back = await flow.inverse(z);
        return { z: z.data, logProb, x: back.x.data, again: back.logProb };
        """,
        page,
        x=ROWS[:2],
    )
    z, log_prob = flow.forward(ROWS[:2], return_log_prob=True)
    np.testing.assert_allclose(found["z"].reshape(2, 2), z, atol=1e-5)
    np.testing.assert_allclose(found["logProb"], log_prob, atol=1e-4)
    np.testing.assert_allclose(found["x"].reshape(2, 2), ROWS[:2], atol=1e-4)
    np.testing.assert_allclose(found["again"], log_prob, atol=1e-4)


def test_any_part_of_a_large_sample_is_the_same_rows(place, page) -> None:
    """20,000 rows are several tiles, and the part begins within one."""
    found = place.run(
        """
        const flow = await load(args.source);
        const whole = await flow.sample(20000, { seed: 3 });
        const part = await flow.sample(5000, { seed: 3, start: 12345n });
        return { whole: whole.x.data, part: part.x.data };
        """,
        page,
    )
    whole = found["whole"].reshape(-1, 2)
    np.testing.assert_allclose(found["part"].reshape(-1, 2), whole[12345:17345], atol=1e-5)


def test_calls_may_run_side_by_side(place, page) -> None:
    """Concurrent calls of sample give the same samples as calls one after another."""
    found = place.run(
        """
        const flow = await load(args.source);
        const seeds = [1, 2, 3, 4];
        const together = await Promise.all(seeds.map((seed) => flow.sample(5000, { seed })));
        const alone = [];
        for (const seed of seeds) alone.push(await flow.sample(5000, { seed }));
        return seeds.map((_, i) => [together[i].x.data, alone[i].x.data]);
        """,
        page,
    )
    for together, alone in found:
        np.testing.assert_array_equal(together, alone)


def test_no_rows_are_drawn_and_scored_as_no_rows(place, page) -> None:
    """sample(0) gives a matrix of 0 rows, and logProb of no rows gives no values."""
    found = place.run(
        """
        const flow = await load(args.source);
        const { x, logProb } = await flow.sample(0);
        return [x.shape, logProb.length, (await flow.logProb([])).length];
        """,
        page,
    )
    assert found == [[0, 2], 0, 0]


@pytest.mark.parametrize(
    ("seed", "same"), [("7", "7n"), ("-1", "2n ** 64n - 1n"), ("-(2n ** 63n)", "2n ** 63n")]
)
def test_a_seed_is_64_bits_in_twos_complement(node, seed: str, same: str) -> None:
    """Seeds that are equal modulo 2**64 give the same samples, as a Number or a BigInt."""
    one, other = node(f"""
        return [(await flow.sample(5, {{ seed: {seed} }})).x.data,
                (await flow.sample(5, {{ seed: {same} }})).x.data];""")
    np.testing.assert_array_equal(one, other)


def test_without_a_seed_each_call_draws_anew(node) -> None:
    """Two calls of sample without a seed give different samples."""
    one, other = node("return [(await flow.sample(5)).x.data, (await flow.sample(5)).x.data];")
    assert (one != other).all()


def test_infinity_and_nan_pass_through(node, flow) -> None:
    """With infinite and NaN inputs, log_prob is the same infinity or NaN as in Python."""
    found = node("return flow.logProb([[0.5, 1], [3, Infinity], [NaN, 0]]);")
    expected = flow.log_prob([[0.5, 1.0], [3.0, np.inf], [np.nan, 0.0]])
    assert np.isfinite(expected).tolist() == [True, False, False]
    np.testing.assert_array_equal(found[1:], expected[1:])
    assert np.isfinite(found[0])


def test_rows_come_as_lists_as_typed_arrays_and_as_a_matrix(node) -> None:
    """logProb gives the same values for a matrix, lists, typed arrays and data with a shape."""
    found = node("""
        const { x, logProb } = await flow.sample(4, { seed: 1 });
        const forms = [x, [...x.rows()], Array.from(x.rows(), (row) => [...row]),
          { data: Float64Array.from(x.data), shape: [4, 2] }, { data: [...x.data], shape: [4, 2] }];
        return [logProb, ...await Promise.all(forms.map((form) => flow.logProb(form)))];""")
    for scored in found[1:]:
        np.testing.assert_allclose(scored, found[0], atol=1e-4)


def test_a_matrix_gives_its_rows_and_columns(node) -> None:
    """A Matrix returns one row, one column and an iterator over its rows."""
    assert node("""
        const x = new Matrix(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);
        return [[...x.row(1)], [...x.column(1)], Array.from(x.rows(), (row) => row[0])];""") == [
        [3, 4],
        [2, 4, 6],
        [1, 3, 5],
    ]


CONTEXTS = """
    const row = [0.5, -1];
    const forms = [row, [row], Float32Array.from(row), [Float64Array.from(row)], [row, row, row],
      { data: row, shape: [2] }, { data: row, shape: [1, 2] }];
"""


def test_the_context_of_samples_is_one_row_for_all_or_one_for_each(place, site) -> None:
    """Every form of the context, one row or one row per sample, gives Python's samples."""
    page = site("conditional")
    found = place.run(
        f"""
        const flow = await load(args.source);
        {CONTEXTS}
        return Promise.all(forms.map(async (context) =>
          (await flow.sample(3, {{ seed: 1, context }})).x.data));""",
        page,
    )
    expected = rnvp_runtime.load(page / "model.rnvp").sample(3, seed=1, context=[0.5, -1])
    for x in found:
        np.testing.assert_allclose(x.reshape(3, 3), expected, atol=1e-4)
        np.testing.assert_array_equal(x, found[0])


@pytest.mark.parametrize(("method", "output"), [("forward", "z"), ("inverse", "x")])
def test_the_context_of_rows_is_one_row_for_all_or_one_for_each(place, site, method, output):
    """Every form of the context gives the same outputs, and z and x agree with Python."""
    page = site("conditional")
    rows = [[0.1, 0.2, 0.3], [1.0, -1.0, 0.5], [-0.4, 0.0, 2.0]]
    found = place.run(
        f"""
        const flow = await load(args.source);
        {CONTEXTS}
        const maps = await Promise.all(
          forms.map((context) => flow.{method}(args.rows, {{ context }})));
        return maps.map(({{ {output}, logProb }}) => [{output}.data, logProb]);""",
        page,
        rows=rows,
    )
    context = np.tile([0.5, -1.0], (3, 1))
    expected = getattr(rnvp_runtime.load(page / "model.rnvp"), method)(rows, context)
    np.testing.assert_allclose(found[0][0].reshape(3, 3), expected, atol=1e-4)
    for values, log_prob in found:
        np.testing.assert_array_equal(values, found[0][0])
        np.testing.assert_array_equal(log_prob, found[0][1])


def test_one_row_of_context_stands_for_the_rows_of_many_tiles(driver, site) -> None:
    """For 9,000 rows, one row of context gives the log_prob of 9,000 equal rows of context."""
    one, each = driver.run(
        """
        const flow = await load(args.source);
        const { x } = await flow.sample(9000, { seed: 1, context: [0.5, -1] });
        const data = Array.from({ length: 9000 }, () => [0.5, -1]).flat();
        const context = { data, shape: [9000, 2] };
        return [await flow.logProb(x, { context: [0.5, -1] }), await flow.logProb(x, { context })];
        """,
        source=str(site("conditional") / "model.rnvp"),
    )
    np.testing.assert_array_equal(one, each)


def test_the_manifest_and_the_columns_are_as_in_python(node, page, flow) -> None:
    """The flow has the bundle's manifest, which is frozen, and the columns that Python reads."""
    found = node(
        "const { manifest } = flow; "
        "return { ...flow, manifest, frozen: Object.isFrozen(manifest.files) };"
    )
    assert found["manifest"] == json.loads((page / "model.rnvp" / "manifest.json").read_text())
    assert tuple(found["columns"]) == flow.columns
    assert (found["dim"], found["contextDim"], found["contextColumns"]) == (2, 0, [])
    assert found["frozen"]


@pytest.mark.parametrize(
    "bundle",
    [
        "args.source",
        "args.source + '/'",
        "(await import('node:url')).pathToFileURL(args.source)",
        "args.url",
        "new URL(args.url)",
        "await files()",
        "Object.fromEntries(await files())",
        "new Map(Array.from(await files(), ([name, bytes]) => [`a/${name}`, new Blob([bytes])]))",
        "Array.from(await files(), ([name, bytes]) => new File([bytes], name))",
    ],
)
def test_a_bundle_is_a_path_a_url_or_files(driver, page, server, bundle: str) -> None:
    """load accepts a path, a URL, and the files of a bundle in several containers."""
    code = f"""
        const {{ readFile }} = await import("node:fs/promises");
        const files = async () => new Map(await Promise.all(["manifest.json", "flow.bin"].map(
          async (name) => [name, new Uint8Array(await readFile(`${{args.source}}/${{name}}`))])));
        const flow = await load({bundle});
        return (await flow.sample(2, {{ seed: 1 }})).x.shape;"""
    url = f"{server}/{page.name}/model.rnvp"
    assert driver.run(code, source=str(page / "model.rnvp"), url=url) == [2, 2]


def test_onnxruntime_may_be_given_and_web_runs_in_node_too(driver, page) -> None:
    """onnxruntime-web, given as a module, runs in Node and agrees with the default engine."""
    code = """
        const { pathToFileURL } = await import("node:url");
        const web = await import(pathToFileURL(packages.resolve("onnxruntime-web")));
        web.env.wasm.numThreads = 1;
        const flows = [await load(args.source, { ort: web }), await load(args.source)];
        return Promise.all(flows.map(async (flow) => (await flow.sample(5, { seed: 1 })).x.data));
    """
    one, other = driver.run(code, source=str(page / "model.rnvp"))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_gradient_is_that_of_python(place, site) -> None:
    """A conditional flow gives both gradients, and one row of context serves all rows."""
    page = site("conditional")
    rows = [[0.1, 0.2, 0.3], [1.0, -1.0, 0.5]] * 200
    found = place.run(
        """
        const flow = await load(args.source);
        const found = await flow.logProbAndGrad(args.rows, { context: [0.5, -1] });
        return [found.logProb, found.gradX.data, found.gradContext.data];""",
        page,
        rows=rows,
    )
    context = np.tile([0.5, -1.0], (len(rows), 1))
    expected = rnvp_runtime.load(page / "model.rnvp").log_prob_and_grad(rows, context)
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.reshape(got, want.shape), want, rtol=1e-4, atol=1e-4)
