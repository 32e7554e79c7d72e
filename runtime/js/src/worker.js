/**
 * The script of the worker that `remote.js` starts.
 *
 *     {open: [source, manifest, options]}     first, once
 *     {id, request}  ->  {id, result} or {id, error}
 */
import { Engine } from "./engine.js";
import { flattened } from "./errors.js";

let engine;

addEventListener("message", async ({ data: { open, id, request } }) => {
  if (open) {
    engine = new Engine(...open);
    return;
  }
  try {
    const result = await engine.run(request);
    postMessage({ id, result }, [result.values.buffer, result.logProb.buffer]);
  } catch (error) {
    postMessage({ id, error: flattened(error) });
  }
});
