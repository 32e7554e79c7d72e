/**
 * The script of the worker that `remote.js` talks to.
 *
 *     {start: settings}                        once, first
 *     {id, open: [bytes, outputs, about]}  ->  {id, result: number of the graph}
 *     {id, run: [number, feeds]}           ->  {id, result: tensors by name}
 *
 * A failure is answered by {id, error: {name, message}}.
 */
import { Engines } from "./engines.js";
import { flattened } from "./errors.js";
import { handedOver } from "./messages.js";

const graphs = [];
let engine;

addEventListener("message", async ({ data: { id, start, open, run } }) => {
  try {
    if (start) engine = new Engines(start);
    if (open) postMessage({ id, result: graphs.push(await engine.open(...open)) - 1 });
    if (run) {
      const [graph, feeds] = run;
      const result = await graphs[graph](feeds);
      postMessage({ id, result }, handedOver(Object.values(result).map(({ data }) => data)));
    }
  } catch (error) {
    postMessage({ id, error: flattened(error) });
  }
});
