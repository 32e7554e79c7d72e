/** An engine in a worker: the methods of `Engine`, run off the calling thread. */
import { RnvpError, revived } from "./errors.js";

export class RemoteEngine {
  #worker;
  #waiting = new Map(); // id -> {resolve, reject}
  #next = 0;

  /** As `Engine`; `options` must be plain data. */
  constructor(source, options) {
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      error ? reject(revived(error)) : resolve(result);
    };
    this.#worker.onerror = ({ message }) =>
      this.#fail(`the worker stopped: ${message || "its script cannot be loaded"}`);
    this.#worker.postMessage({ start: [source, options] });
  }

  /** As `Engine.open`. */
  open(manifest) {
    this.#worker.postMessage({ manifest });
  }

  /** As `Engine.run`. */
  run(request) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, request });
    });
  }

  /** End the worker; runs under way are rejected. */
  async close() {
    this.#worker.terminate();
    this.#fail("the flow was closed");
  }

  #fail(message) {
    for (const { reject } of this.#waiting.values()) reject(new RnvpError(message));
    this.#waiting.clear();
  }
}
