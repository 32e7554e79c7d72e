/** Hashes, by the browser's or Node's `crypto.subtle`. */
import { EngineError } from "./errors.js";

/**
 * `crypto.subtle`.
 *
 * @throws {EngineError} The page has none, since it was not served by https.
 */
export function subtle() {
  if (globalThis.crypto?.subtle) return crypto.subtle;
  throw new EngineError(
    "this page cannot check the bundle's hashes, since browsers offer crypto.subtle only to " +
      "https and localhost: serve it from there",
  );
}

/** The sha256 of bytes, in 64 hexadecimal digits. */
export async function sha256(content) {
  return inHex(new Uint8Array(await subtle().digest("SHA-256", content)));
}

const inHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
