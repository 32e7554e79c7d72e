/**
 * JSON that means the same to every reader, as `rnvp_runtime.bundle.strict_json` reads it.
 *
 * `JSON.parse` keeps the last of two equal keys, reads `1e999` as Infinity, and accepts integers
 * that it rounds and halves of surrogate pairs. Here such a text is refused.
 */

const MAX_DEPTH = 16; // lists and objects inside one another

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * The value that `text` holds.
 *
 * @param {string} text
 * @throws {SyntaxError} It is not JSON, or readers would differ on what it holds.
 */
export function parseJson(text) {
  const value = JSON.parse(text);
  const open = []; // a Set of keys for each object, null for each list
  let last;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "{" || token === "[") {
      open.push(token === "{" ? new Set() : null);
      if (open.length > MAX_DEPTH) throw new SyntaxError(`nested more than ${MAX_DEPTH} deep`);
    } else if (token === "}" || token === "]") {
      open.pop();
    } else if (token === ":") {
      addKey(open.at(-1), last);
    } else if (token.startsWith('"')) {
      last = JSON.parse(token);
      if (LONE_SURROGATE.test(last)) throw new SyntaxError("it holds half of a surrogate pair");
    } else if (/^[-0-9]/.test(token)) {
      checkNumber(token);
    }
  }
  return value;
}

function addKey(keys, key) {
  if (keys.has(key)) {
    throw new SyntaxError(`the key '${key.slice(0, 40)}' stands twice in one object`);
  }
  keys.add(key);
}

function checkNumber(digits) {
  if (/[.eE]/.test(digits)) {
    if (Number.isFinite(Number(digits))) return;
    throw new SyntaxError(`the number ${digits.slice(0, 24)} does not fit a float64`);
  }
  if (digits.length <= 20 && BigInt.asIntN(64, BigInt(digits)) === BigInt(digits)) return;
  throw new SyntaxError(`the number ${digits.slice(0, 24)} does not fit 64 bits`);
}
