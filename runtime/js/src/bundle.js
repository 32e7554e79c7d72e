/**
 * A bundle: its manifest, and the bytes of its graphs, checked against the manifest's sizes and
 * hashes. The bytes that were hashed are the bytes that are given on.
 *
 * A manifest and a graph may be of different exports: an HTTP cache may give an old one beside a
 * new one, or the bundle was replaced while the page was open. Then both are read once more,
 * without any cache. The new manifest is taken if nothing of the old bundle was used yet and both
 * have the same columns; graphs of two exports are never mixed.
 */
import { BundleError } from "./errors.js";
import { sha256 as hashOf } from "./hashing.js";
import { parseManifest } from "./manifest.js";
import { checkStructure } from "./onnx-structure.js";
import { MAX_SIGNATURE_BYTES, SIGNATURE_FILE, checkSignature } from "./signature.js";
import { namesIn, read } from "./source.js";

const MOST = 1 << 20; // bytes of a manifest

export class Bundle {
  #source;
  #publicKey;
  #manifest;
  #used = new Set(); // graphs that were given out
  #shared = new Map(); // file of several graphs -> its bytes, so that it is read once

  /** Made by `Bundle.read`. */
  constructor(source, publicKey, manifest) {
    this.#source = source;
    this.#publicKey = publicKey;
    this.#manifest = manifest;
  }

  /**
   * Read the manifest of the bundle at `source`.
   *
   * @param {import("./source.js").Source} source
   * @param {import("./signature.js").PublicKey} [publicKey] with which the bundle must be signed
   * @throws {BundleError} There is none, this runtime cannot read it, or it was not signed so.
   */
  static async read(source, publicKey) {
    const manifest = await manifestOf(source, publicKey, "no-cache");
    if (manifest) return new Bundle(source, publicKey, manifest);
    throw new BundleError(`${source.name} has no manifest.json, so it is not a bundle`);
  }

  /** `manifest.json`, frozen. */
  get manifest() {
    return this.#manifest;
  }

  /**
   * The graph's file and its entry in the manifest.
   *
   * @param {"density" | "inverse" | "sampler" | "gradient"} name
   * @param {string[]} formats of the file: the first one that the bundle holds is taken
   * @returns {Promise<{file: string, format: string, bytes: Uint8Array, manifest: object}>} The
   *   caller owns `bytes`.
   * @throws {BundleError} The bundle has no such graph or in none of the formats, the file is
   *   missing or altered or holds something that no bundle needs, or the bundle was
   *   replaced.
   */
  async graph(name, formats) {
    for (const cache of ["default", "reload"]) {
      const manifest = this.#manifest;
      if (!manifest.graphs[name]) throw this.#lacks(name);
      const { files } = manifest.graphs[name];
      const format = formats.find((known) => Object.hasOwn(files, known));
      if (format === undefined) throw this.#lacksFormat(name, formats);
      const file = files[format];
      const kept = this.#shared.get(file);
      if (kept) return { file, format, bytes: kept.slice(), manifest };
      const { bytes, fault } = await this.#checked(file, manifest.files[file], cache);
      // Another call may have taken a newer manifest meanwhile: then these bytes are old.
      if (bytes && manifest === this.#manifest) {
        if (format === "onnx") checkStructure(bytes, manifest, name);
        this.#used.add(name);
        if (isShared(manifest, file)) this.#shared.set(file, bytes.slice());
        return { file, format, bytes, manifest };
      }
      const again = cache === "default" && !this.#source.files;
      if (fault && !again) throw new BundleError(`${this.#source.name}${fault}`);
      if (fault) await this.#refresh(fault);
    }
    return this.graph(name, formats);
  }

  #lacksFormat(name, formats) {
    const { graphs, native_refusal: refusal } = this.#manifest;
    const why = formats.includes("native") && refusal ? ` (${refusal})` : "";
    return new BundleError(
      `${this.#source.name} has no ${name} graph in the format '${formats.join("' or '")}', only ` +
        `${Object.keys(graphs[name].files).join(", ")}${why}: export it again with that format, or ` +
        "choose another engine",
    );
  }

  #lacks(name) {
    return new BundleError(
      `${this.#source.name} has no ${name} graph, only ` +
        `${Object.keys(this.#manifest.graphs).join(", ")}: an older rnvp-deploy wrote it, export ` +
        "its checkpoint again",
    );
  }

  /** `{bytes}` of `file` if they are the exported ones, else `{fault}`. */
  async #checked(file, { sha256, bytes: size }, cache) {
    let bytes;
    try {
      bytes = await read(this.#source, file, size, cache);
    } catch (error) {
      if (error instanceof BundleError) return { fault: `: ${error.message}` };
      throw error;
    }
    if (bytes === null) return { fault: ` has no ${file}: copy the whole bundle again` };
    const differs = (what) => ({
      fault: `: ${file} is not the file that was exported (${what}): copy the whole bundle again`,
    });
    if (bytes.length !== size) return differs(`${bytes.length} bytes, expected ${size}`);
    return (await hashOf(bytes)) === sha256 ? { bytes } : differs("its sha256 differs");
  }

  /** Use the manifest that is there now, if it is another one. */
  async #refresh(fault) {
    const [seen, now] = [
      this.#manifest,
      await manifestOf(this.#source, this.#publicKey, "reload"),
    ];
    if (this.#manifest !== seen) return; // another call has done it
    if (!now) throw new BundleError(`${this.#source.name}${fault}`);
    if (now.id === seen.id) return;
    if (this.#used.size || !sameColumns(now, seen)) {
      throw new BundleError(
        `${this.#source.name} was replaced since it was loaded: load it again`,
      );
    }
    this.#manifest = now;
  }
}

const isShared = ({ graphs }, file) =>
  Object.values(graphs).filter(({ files }) => Object.values(files).includes(file)).length > 1;

function sameColumns(one, other) {
  const said = ({ columns, context_columns, dtype }) =>
    JSON.stringify([columns, context_columns, dtype]);
  return said(one) === said(other);
}

/** The manifest that is there, null if there is none; with a key, only one that was signed. */
async function manifestOf(source, publicKey, cache) {
  const content = await read(source, "manifest.json", MOST, cache);
  if (content === null) return null;
  try {
    const manifest = parseManifest(textOf(content));
    if (publicKey) await checkSigned(source, content, manifest, publicKey, cache);
    return manifest;
  } catch (error) {
    if (error instanceof BundleError) error.message = `${source.name}: ${error.message}`;
    throw error;
  }
}

async function checkSigned(source, content, manifest, publicKey, cache) {
  const signature = await read(source, SIGNATURE_FILE, MAX_SIGNATURE_BYTES, cache);
  await checkSignature(signature, content, manifest, publicKey);
  const known = new Set([...Object.keys(manifest.files), "manifest.json", SIGNATURE_FILE]);
  const added = (await namesIn(source)).find((name) => !known.has(name));
  if (added !== undefined) {
    throw new BundleError(`${JSON.stringify(added)} is not part of the bundle: remove it`);
  }
}

function textOf(content) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw new BundleError("manifest.json is not UTF-8 text; export the bundle again");
  }
}
