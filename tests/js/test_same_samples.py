"""Node and Chromium draw Python's samples: equal words, and floats within the tolerance."""

import base64
from pathlib import Path

import numpy as np
import onnx
import pytest
from agreement import agree

import rnvp_runtime
from rnvp_runtime.stream import words

N, SEED = 10_000, 2**63 + 12_345  # the seed needs all 64 bits

WORDS = """
const engine = args.wasm ? await import(args.wasm + "ort.wasm.min.js") : ort;
if (args.wasm) {
  const file = (suffix) => `${args.wasm}ort-wasm-simd-threaded.${suffix}`;
  engine.env.wasm.wasmPaths = { mjs: file("js"), wasm: file("wasm") };
}
const bytes = Uint8Array.from(atob(args.graph), (c) => c.charCodeAt(0));
const session = await engine.InferenceSession.create(bytes);
const whole = (v) => new engine.Tensor("int64", BigInt64Array.of(BigInt.asIntN(64, BigInt(v))), []);
const feeds = {
  seed: whole(args.seed), start: whole(args.start), count: whole(args.n),
  temperature: new engine.Tensor("float32", Float32Array.of(1), []),
};
if (args.width) {
  const zeros = new Float32Array(args.n * args.width);
  feeds.context = new engine.Tensor("float32", zeros, [args.n, args.width]);
}
const results = await session.run(feeds, ["philox_even", "philox_odd"]);
return { even: results.philox_even.data, odd: results.philox_odd.data };
"""

SAMPLES = """
const flow = await load(args.source, { engine: args.engine });
const { x, logProb } = await flow.sample(args.n, {
  seed: BigInt(args.seed), temperature: args.temperature, context: args.context ?? undefined,
});
const scored = await flow.logProb(x, { context: args.context ?? undefined });
await flow.close();
return { x: x.data, shape: [...x.shape], logProb, scored };
"""


@pytest.fixture(params=["unconditional", "conditional", "wide"])
def page(request, site) -> Path:
    return site(request.param)


def test_the_random_words_are_the_same_bit_for_bit(place, page, server) -> None:
    """The random words of the sampler graph equal Python's before and after row 2**32."""
    flow = rnvp_runtime.load(page / "model.rnvp")
    start = 2**32 - 5000  # the high word of the row changes within the range
    found = place.run(
        WORDS,
        page,
        graph=with_words(page / "model.rnvp" / "sampler.onnx"),
        wasm=f"{server}/{page.name}/onnxruntime-web/dist/" if place.kind == "chromium" else None,
        seed=str(SEED),
        start=str(start),
        n=N,
        width=flow.context_dim,
    )
    even, odd = (found[k].reshape(2, -1, N).transpose(2, 1, 0) for k in ("even", "odd"))
    # The graph holds [w2; w0] and [w3; w1].
    drawn = np.stack([even[..., 1], odd[..., 1], even[..., 0], odd[..., 0]], axis=-1)
    np.testing.assert_array_equal(drawn, words(SEED, start, N, flow.dim))


@pytest.mark.parametrize("engine", ["native", "onnxruntime"])
def test_samples_and_their_log_prob_agree_with_python(place, page, engine: str) -> None:
    """Samples and log_prob of both engines agree with Python within the manifest's errors."""
    flow = rnvp_runtime.load(page / "model.rnvp")
    context = np.random.default_rng(1).standard_normal((N, flow.context_dim)).astype(np.float32)
    given = {"context": context} if flow.context_dim else {}
    x, log_prob = flow.sample(N, seed=SEED, temperature=0.9, return_log_prob=True, **given)
    found = place.run(
        SAMPLES,
        page,
        engine=engine,
        seed=str(SEED),
        n=N,
        temperature=0.9,
        context=context.tolist() if flow.context_dim else None,
    )
    assert found["shape"] == [N, flow.dim]
    agree(flow, "sampler", "x", found["x"].reshape(N, flow.dim), x)
    agree(flow, "sampler", "log_prob", found["logProb"], log_prob)
    agree(flow, "density", "log_prob", found["scored"], flow.log_prob(x, **given))


@pytest.mark.parametrize("engine", ["native", "onnxruntime"])
def test_a_float64_bundle_agrees_in_float64(place, site, engine: str) -> None:
    """A float64 bundle gives float64 samples that are within the manifest's errors of Python's."""
    page = site("double")
    flow = rnvp_runtime.load(page / "model.rnvp")
    x, log_prob = flow.sample(500, seed=7, return_log_prob=True)
    found = place.run(SAMPLES, page, engine=engine, seed="7", n=500, temperature=1)
    assert found["x"].dtype == np.float64
    agree(flow, "sampler", "x", found["x"].reshape(500, 3), x)
    agree(flow, "sampler", "log_prob", found["logProb"], log_prob)


def with_words(path: Path) -> str:
    """Add the random words to the outputs of the graph at ``path``; return it in base64."""
    model = onnx.load(path)
    for name in ("philox_even", "philox_odd"):
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT64, [2, "blocks", "n"])
        )
    return base64.b64encode(model.SerializeToString()).decode()
