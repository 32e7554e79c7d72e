/** The engines in a worker: the methods of `Engine`, run off the calling thread. */
import { ClosedError, EngineError, reasonOf, revived } from "./errors.js";
import { handedOver } from "./messages.js";
import { whyNoWorker } from "./worker-script.js";

export class RemoteEngine {
  ahead = 8; // on a busy machine, messages wait longer than a tile takes
  formats;
  #worker;
  #script; // the URL of its script, if known
  #end = null; // the error that every later call rejects with
  #blocked = false; // the page's policy forbade a worker
  #waiting = new Map(); // id -> {resolve, reject}
  #next = 0;

  /**
   * @param {import("./worker-script.js").Starter} starter
   * @param {{formats: string[], ort?: string, threads: number}} settings plain data, for the engines
   *   in the worker
   */
  constructor({ start, url }, settings) {
    this.formats = settings.formats;
    this.#script = url;
    globalThis.document?.addEventListener("securitypolicyviolation", this.#onViolation);
    try {
      this.#worker = start();
    } catch (error) {
      this.#stop(new EngineError(`the worker cannot be started: ${reasonOf(error)}`));
      return;
    }
    this.#worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.#waiting.get(id) ?? {};
      this.#waiting.delete(id);
      error ? reject?.(revived(error)) : resolve?.(result);
    };
    this.#worker.onmessageerror = () =>
      this.#stop(new EngineError("the worker stopped: its answer cannot be read"));
    this.#worker.onerror = async (event) => {
      event.preventDefault?.(); // it is reported by the call that waits
      this.#stop(await whyNoWorker(this.#script, event.message, () => this.#blocked));
    };
    this.#worker.postMessage({ start: settings });
  }

  /** As `Engine.open`. */
  async open(bytes, outputs, about) {
    const graph = await this.#ask({ open: [bytes, outputs, about] }, [bytes.buffer]);
    return (feeds) => {
      // Large buffers are handed over, and a view would be sent with its whole buffer: so copies.
      const own = Object.entries(feeds).map(([name, { dtype, data, shape }]) => [
        name,
        { dtype, data: data.slice(), shape },
      ]);
      const buffers = handedOver(own.map(([, { data }]) => data));
      return this.#ask({ run: [graph, Object.fromEntries(own)] }, buffers);
    };
  }

  /** As `Engine.close`: ends the worker. */
  async close() {
    this.#stop(new ClosedError("the flow was closed: load the bundle again"));
  }

  #ask(message, buffers) {
    if (this.#end) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...message }, buffers);
    });
  }

  #stop(error) {
    if (this.#end) return;
    this.#end = error;
    this.#worker?.terminate();
    globalThis.document?.removeEventListener("securitypolicyviolation", this.#onViolation);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #onViolation = ({ effectiveDirective, blockedURI }) => {
    const ours = !this.#script || blockedURI === this.#script || !/^http/.test(blockedURI);
    if (effectiveDirective === "worker-src" && ours) this.#blocked = true;
  };
}
