// node wasm_driver.mjs NATIVE.JS FLOW.BIN: for each line of JSON on stdin, {graph, outputs, feeds},
// runs a graph and prints {output: [numbers]} or {error}. Typed arrays are {dtype, data, shape}.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [, , source, file] = process.argv;
const { NativeEngine } = await import(pathToFileURL(source));
const KINDS = { float32: Float32Array, float64: Float64Array };

for await (const line of createInterface({ input: process.stdin })) {
  const { graph, outputs, feeds, repeats = 0, damage } = JSON.parse(line);
  try {
    const bytes = new Uint8Array(readFileSync(file));
    if (damage !== undefined) bytes[damage] ^= 255;
    const run = await new NativeEngine().open(bytes, outputs, { name: "flow.bin", graph });
    for (const [name, feed] of Object.entries(feeds)) {
      const data =
        feed.dtype === "int64"
          ? BigInt64Array.from(feed.data, BigInt)
          : KINDS[feed.dtype].from(feed.data);
      feeds[name] = { ...feed, data };
    }
    const results = await run(feeds);
    const times = [];
    for (let i = 0; i < repeats; i++) {
      const began = performance.now();
      await run(feeds);
      times.push(performance.now() - began);
    }
    const numbers = Object.entries(results).map(([name, { data }]) => [name, Array.from(data, String)]);
    console.log(JSON.stringify({ ...Object.fromEntries(numbers), times }));
  } catch (error) {
    console.log(JSON.stringify({ error: `${error.name}: ${error.message}` }));
  }
}
