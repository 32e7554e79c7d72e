/**
 * Where a bundle's files come from: a URL, a folder on disk, or files that the caller has (picked,
 * dropped, or in memory). `read` gives the bytes of one file.
 */
import { IN_NODE, builtin } from "./environment.js";
import { BundleError, InputError, reasonOf } from "./errors.js";

/**
 * @typedef {{name: string, url: string, fetch: typeof globalThis.fetch}
 *   | {name: string, path: string}
 *   | {name: string, files: Map<string, Blob | ArrayBuffer | Uint8Array>}} Source
 */

/**
 * The source that a user's argument of `load` names.
 *
 * @param {unknown} bundle
 * @param {typeof globalThis.fetch} [fetch] what to fetch a URL's files with
 * @returns {Source}
 * @throws {InputError} It cannot hold a bundle.
 * @throws {BundleError} Files were given, but no manifest is among them.
 */
export function sourceOf(bundle, fetch = (url, init) => globalThis.fetch(url, init)) {
  if (bundle instanceof URL || typeof bundle === "string") return located(`${bundle}`, fetch);
  if (typeof bundle === "object" && bundle !== null) return atHand(entriesOf(bundle));
  throw new InputError(
    "load takes a URL, a path, or the files of a bundle (File objects, or bytes by name)",
  );
}

/**
 * The bytes of `file` of the bundle, or null if it has no such file. They belong to the caller.
 *
 * @param {Source} source
 * @param {string} file POSIX path below the bundle
 * @param {number} most refuse a file that is longer, in bytes
 * @param {"default" | "no-cache" | "reload"} [cache] of a URL: the browser's cache may answer; it
 *   must ask the server first; or no cache is used
 * @returns {Promise<Uint8Array | null>}
 * @throws {BundleError} It cannot be read, or is longer than `most`.
 */
export async function read(source, file, most, cache = "default") {
  const bytes = await (source.files
    ? readAtHand(source.files.get(file))
    : source.url
      ? fetched(addressOf(source.url, file, cache), most, cache, source.fetch)
      : readFromDisk(source.path, file, most));
  if (bytes && bytes.length > most) throw tooLong(file, most);
  return bytes;
}

const tooLong = (file, most) =>
  new BundleError(
    `${file} is not the file that was exported (more than ${most} bytes): copy the whole folder ` +
      "again",
  );

function located(where, fetch) {
  if (IN_NODE && (/^file:/.test(where) || !/^[a-z][a-z0-9+.-]+:/i.test(where))) {
    return { name: where, path: where };
  }
  const url = new URL(where, globalThis.document?.baseURI ?? globalThis.location?.href);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return { name: where, url: url.href, fetch };
}

/** [name, content] pairs of an array of Files, a Map, or an object. */
function entriesOf(bundle) {
  if (bundle instanceof Map) return [...bundle];
  if (typeof bundle[Symbol.iterator] !== "function") return Object.entries(bundle);
  return Array.from(bundle, (file) => [file.webkitRelativePath || file.name, file]);
}

/** The bundle among `entries`: what lies beside, or below, the outermost manifest. */
function atHand(entries) {
  const depth = (name) => name.split("/").length;
  const [manifest] = entries
    .map(([name]) => name)
    .filter((name) => name === "manifest.json" || name?.endsWith("/manifest.json"))
    .sort((one, other) => depth(one) - depth(other));
  if (manifest === undefined) {
    throw new BundleError("none of these files is a manifest.json, so they are not a bundle");
  }
  const root = manifest.slice(0, -"manifest.json".length);
  const files = new Map(
    entries
      .filter(([name]) => name.startsWith(root))
      .map(([name, content]) => [name.slice(root.length), content]),
  );
  return { name: root.replace(/\/$/, "").split("/").pop() || "the bundle", files };
}

async function readAtHand(content) {
  if (content === undefined) return null;
  if (content instanceof Blob) return new Uint8Array(await content.arrayBuffer());
  if (content instanceof ArrayBuffer) return new Uint8Array(content.slice(0));
  if (content instanceof Uint8Array) return Uint8Array.from(content);
  throw new InputError("files of a bundle should be File, Blob, ArrayBuffer or Uint8Array");
}

/** The address of `file`, with the query of the bundle's own address: it may be a signature. */
function addressOf(folder, file, cache) {
  const url = new URL(file.split("/").map(encodeURIComponent).join("/"), folder);
  url.search = new URL(folder).search;
  // A proxy may keep old files whatever a browser asks for, but not under a new address.
  if (cache === "reload" && !url.search) url.search = `?reload=${Date.now()}`;
  return url.href;
}

async function fetched(url, most, cache, fetch) {
  let response;
  try {
    response = await fetch(url, { cache });
    if (response.ok) return await bodyOf(response, most);
  } catch (error) {
    throw new BundleError(
      `${url} cannot be fetched: ${reasonOf(error)}. The network, CORS or the page's ` +
        "Content-Security-Policy (connect-src) may be the reason: see the browser's console",
    );
  }
  if (response.status === 404 || response.status === 410) return null;
  throw new BundleError(`${url} cannot be fetched: the server answers ${response.status}`);
}

/** The bytes of a response, which is left when there are more than `most`. */
async function bodyOf(response, most) {
  if (!response.body?.getReader) return new Uint8Array(await response.arrayBuffer());
  const reader = response.body.getReader();
  const parts = [];
  let length = 0;
  for (let part; (part = await reader.read()) && !part.done && length <= most; ) {
    parts.push(part.value);
    length += part.value.length;
  }
  if (length > most) reader.cancel().catch(() => {});
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

async function readFromDisk(folder, file, most) {
  const { constants, lstat, open } = builtin("node:fs/promises");
  const { join } = builtin("node:path");
  let path = folderPath(folder);
  try {
    for (const part of file.split("/").slice(0, -1)) {
      path = join(path, part);
      if ((await lstat(path)).isSymbolicLink()) throw linked(path);
    }
    path = join(folderPath(folder), file);
    // A link could lead out of the bundle. Reading a named pipe could block for ever, and a device
    // may have no end.
    const found = await lstat(path);
    if (found.isSymbolicLink()) throw linked(path);
    if (!found.isFile()) throw irregular(path);
    const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
    const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const opened = await handle.stat(); // another file may have taken its place
      if (!opened.isFile()) throw irregular(path);
      if (opened.size > most) throw tooLong(file, most);
      return new Uint8Array(await handle.readFile());
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof BundleError) throw error;
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw new BundleError(`${path} cannot be read: ${reasonOf(error)}`);
  }
}

const irregular = (path) =>
  new BundleError(`${path} is not a regular file: copy the whole bundle again`);
const linked = (path) =>
  new BundleError(`${path} is a symbolic link, expected a file: cp -RL copies what links point to`);

const folderPath = (folder) =>
  folder.startsWith("file:") ? builtin("node:url").fileURLToPath(folder) : folder;

/**
 * The names of all files that are there. None for a URL, since a server does not list them.
 *
 * @param {Source} source
 * @returns {Promise<string[]>}
 */
export async function namesIn(source) {
  if (source.files) return [...source.files.keys()];
  if (source.url) return [];
  const { readdir } = builtin("node:fs/promises");
  const below = async (folder, prefix) => {
    const names = [];
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const name = `${prefix}${entry.name}`;
      if (!entry.isDirectory()) names.push(name);
      else names.push(...(await below(`${folder}/${entry.name}`, `${name}/`)));
    }
    return names;
  };
  try {
    return await below(folderPath(source.path), "");
  } catch (error) {
    throw new BundleError(`${source.path} cannot be listed: ${reasonOf(error)}`);
  }
}
