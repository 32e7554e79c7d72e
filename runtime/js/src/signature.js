/**
 * Whether a bundle was signed with the private key that belongs to a public key, as
 * `rnvp_runtime.bundle.signature` checks it. The signature is the file `model.sig`, in the format of
 * OpenSSF model signing: a sigstore bundle around an in-toto statement, which lists the sha256 of
 * every other file. The manifest is one of them, and lists the hashes that each graph is checked
 * against when it is read. So nothing is used that was not signed.
 *
 * Reference: https://github.com/secure-systems-lab/dsse (the bytes that are signed).
 */
import { BundleError, InputError } from "./errors.js";
import { sha256, subtle } from "./hashing.js";

export const SIGNATURE_FILE = "model.sig";
export const MAX_SIGNATURE_BYTES = 16 * 2 ** 20;

const CURVES = { "P-256": ["SHA-256", 32], "P-384": ["SHA-384", 48], "P-521": ["SHA-512", 66] };
const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const EXPECTED = {
  _type: "https://in-toto.io/Statement/v1",
  predicateType: "https://model_signing/signature/v1.0",
};

/** @typedef {{key: CryptoKey, hash: string, size: number}} PublicKey `size`: bytes of r and of s */

/**
 * The public key that a PEM text holds.
 *
 * @param {unknown} pem
 * @returns {Promise<PublicKey>}
 * @throws {InputError} It is not an elliptic-curve public key on P-256, P-384 or P-521.
 */
export async function publicKeyOf(pem) {
  const refused = new InputError(
    "publicKey is not a public key in PEM on the curve P-256, P-384 or P-521: pass the text of the " +
      "file that the publisher gave you, which begins with -----BEGIN PUBLIC KEY-----",
  );
  if (typeof pem !== "string") throw refused;
  const body = /^\s*-----BEGIN PUBLIC KEY-----([\sA-Za-z0-9+/=]+)-----END PUBLIC KEY-----\s*$/.exec(pem);
  const der = body && fromBase64(body[1].replace(/\s/g, ""));
  if (!der) throw refused;
  for (const [namedCurve, [hash, size]] of Object.entries(CURVES)) {
    try {
      const algorithm = { name: "ECDSA", namedCurve };
      const key = await subtle().importKey("spki", der, algorithm, false, ["verify"]);
      return { key, hash, size };
    } catch (error) {
      if (error instanceof Error && error.name === "EngineError") throw error;
    }
  }
  throw refused;
}

/**
 * Check that a signature is over the manifest and over every file that the manifest lists.
 *
 * @param {Uint8Array | null} signature the content of `model.sig`, null if there is none
 * @param {Uint8Array} text the content of `manifest.json`
 * @param {{files: Record<string, {sha256: string}>}} manifest what `text` spells
 * @param {PublicKey} publicKey
 * @throws {BundleError} There is none, it was made with another key, or for other files.
 */
export async function checkSignature(signature, text, manifest, publicKey) {
  if (signature === null) {
    throw new BundleError(`${SIGNATURE_FILE} is missing: the bundle was exported without --sign`);
  }
  const refused = (reason) =>
    new BundleError(
      `${SIGNATURE_FILE} was not made for these files with this key (${reason}): get the bundle ` +
        "again from its publisher",
    );
  const envelope = envelopeOf(signature);
  if (!envelope) throw refused("it is not a signature of OpenSSF model signing");
  const { payload, sig } = envelope;
  const raw = rawSignature(sig, publicKey.size);
  const signed = raw && (await verify(publicKey, raw, preAuthEncoding(payload)));
  if (!signed) throw refused("the signature does not verify");
  const hashes = hashesOf(payload);
  if (!hashes) throw refused("what it signs is not the list of a bundle's files");
  const expected = new Map([["manifest.json", await sha256(text)]]);
  for (const [name, record] of Object.entries(manifest.files)) expected.set(name, record.sha256);
  for (const [name, hash] of expected) {
    if (hashes.get(name) !== hash) {
      throw refused(`${name} is ${hashes.has(name) ? "another file" : "not signed"}`);
    }
  }
  for (const name of hashes.keys()) {
    if (!expected.has(name)) throw refused(`${JSON.stringify(name)} is signed and not listed`);
  }
}

const verify = ({ key, hash }, signature, data) =>
  subtle().verify({ name: "ECDSA", hash }, key, signature, data);

/** The signed bytes and the signature of a sigstore bundle; null if it is none of this kind. */
function envelopeOf(content) {
  const envelope = parsed(content)?.dsseEnvelope;
  if (envelope?.payloadType !== PAYLOAD_TYPE || envelope.signatures?.length !== 1) return null;
  const payload = fromBase64(envelope.payload);
  const sig = fromBase64(envelope.signatures[0]?.sig);
  return payload && sig ? { payload, sig } : null;
}

/** Name -> sha256 of the files that a statement lists; null if it is not such a statement. */
function hashesOf(payload) {
  const statement = parsed(payload);
  const { serialization, resources } = statement?.predicate ?? {};
  const isOne =
    Object.entries(EXPECTED).every(([name, value]) => statement?.[name] === value) &&
    serialization?.method === "files" &&
    serialization.hash_type === "sha256" &&
    Array.isArray(resources);
  if (!isOne) return null;
  const found = new Map();
  for (const { name, algorithm, digest } of resources.map((resource) => resource ?? {})) {
    if (typeof name !== "string" || algorithm !== "sha256" || found.has(name)) return null;
    found.set(name, digest);
  }
  return found;
}

/** The JSON that bytes spell; undefined if they spell none. */
function parsed(content) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch {
    return undefined;
  }
}

/** DSSE: the length and the text of the type and of the payload. */
function preAuthEncoding(payload) {
  const head = `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `;
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(new TextEncoder().encode(head));
  bytes.set(payload, head.length);
  return bytes;
}

/**
 * r and s side by side, as `crypto.subtle` takes them, from the DER that OpenSSL writes: a sequence
 * of two integers. null if it is not that.
 */
function rawSignature(der, size) {
  const body = elementAt(der, 0, 0x30);
  if (!body || body.end !== der.length) return null;
  const r = elementAt(der, body.start, 0x02);
  const s = r && elementAt(der, r.end, 0x02);
  if (!s || s.end !== body.end) return null;
  const raw = new Uint8Array(2 * size);
  for (const [i, { start, end }] of [r, s].entries()) {
    let first = start;
    while (first < end && der[first] === 0) first += 1;
    if (end - first > size) return null;
    raw.set(der.subarray(first, end), (i + 1) * size - (end - first));
  }
  return raw;
}

/** Where the content of the DER element at `at` is; null if it has another tag or is cut short. */
function elementAt(der, at, tag) {
  if (der[at] !== tag) return null;
  const isLong = der[at + 1] === 0x81; // the length is in the next byte
  const start = at + (isLong ? 3 : 2);
  const end = start + (isLong ? der[at + 2] : der[at + 1]);
  return (isLong || der[at + 1] < 0x80) && end <= der.length ? { start, end } : null;
}

/** The bytes that base64 spells; null if it spells none. */
function fromBase64(text) {
  if (typeof text !== "string") return null;
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}
