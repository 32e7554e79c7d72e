/**
 * Where a bundle's files come from: a URL, a folder on disk, or files at hand (picked, dropped,
 * or in memory). A source is plain data, so that it can be handed to a worker.
 */
import { IN_NODE } from "./environment.js";
import { BundleError, InputError, reasonOf } from "./errors.js";

/**
 * @typedef {{name: string, url: string} | {name: string, path: string}
 *   | {name: string, files: Map<string, Blob | Uint8Array>}} Source
 */

/**
 * The source that a user's argument of `load` names.
 *
 * @returns {Source}
 * @throws {InputError} It is nothing that can hold a bundle.
 * @throws {BundleError} Files were given, and none is a manifest.
 */
export function sourceOf(bundle) {
  if (bundle instanceof URL || typeof bundle === "string") return located(`${bundle}`);
  if (typeof bundle === "object" && bundle !== null) return atHand(entriesOf(bundle));
  throw new InputError(
    "load takes a URL, a path, or the files of a bundle (File objects, or bytes by name)",
  );
}

/**
 * The bytes of `file` of the bundle, or null if it has no such file.
 *
 * @param {Source} source
 * @param {string} file POSIX path below the bundle
 * @returns {Promise<Uint8Array | null>}
 * @throws {BundleError} It is there, or may be, but cannot be read.
 */
export async function read(source, file) {
  if (source.files) return readAtHand(source.files.get(file));
  return source.url
    ? fetched(new URL(encodeURI(file), source.url))
    : readFromDisk(source.path, file);
}

function located(where) {
  if (/^file:/.test(where) && IN_NODE) return { name: where, path: where };
  if (IN_NODE && !/^[a-z][a-z0-9+.-]+:/i.test(where)) return { name: where, path: where };
  const url = new URL(where, globalThis.document?.baseURI ?? globalThis.location?.href);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return { name: where, url: url.href };
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
  if (content instanceof ArrayBuffer) return new Uint8Array(content);
  if (content instanceof Uint8Array) return content;
  throw new InputError("files of a bundle should be File, Blob, ArrayBuffer or Uint8Array");
}

async function fetched(url) {
  let response;
  try {
    response = await fetch(url);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new BundleError(`${url} cannot be fetched: ${reasonOf(error)}`);
  }
  if (response.status === 404 || response.status === 410) return null;
  throw new BundleError(`${url} cannot be fetched: the server answers ${response.status}`);
}

async function readFromDisk(folder, file) {
  const [{ readFile }, { join }, { fileURLToPath }] = await Promise.all(
    ["node:fs/promises", "node:path", "node:url"].map(
      (name) => import(/* @vite-ignore */ /* webpackIgnore: true */ name),
    ),
  );
  const path = join(folder.startsWith("file:") ? fileURLToPath(folder) : folder, file);
  try {
    return new Uint8Array(await readFile(path));
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw new BundleError(`${path} cannot be read: ${reasonOf(error)}`);
  }
}
