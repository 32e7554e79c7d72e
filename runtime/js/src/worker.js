/**
 * The script of the worker that `remote.js` starts.
 *
 *     {start: [source, options]}, then {manifest}     once each
 *     {id, request}  ->  {id, result} or {id, error}
 */
import { Engine } from "./engine.js";
import { flattened } from "./errors.js";

let engine;

addEventListener("message", async ({ data: { start, manifest, id, request } }) => {
  if (start) engine = new Engine(...start);
  if (manifest) engine.open(manifest);
  if (!request) return;
  try {
    const result = await engine.run(request);
    postMessage({ id, result }, [result.values.buffer, result.logProb.buffer]);
  } catch (error) {
    postMessage({ id, error: flattened(error) });
  }
});
