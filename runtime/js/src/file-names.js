/**
 * Names of the files of a bundle, by the rules of `rnvp_runtime.bundle.file_names`: a relative
 * POSIX path of printable ASCII, which is one and the same file on every system.
 */

const MAX_NAME_LENGTH = 255;
const INNER = String.raw`[ !#-)+-.0-9;=@-Z\[\]^-{}~]`; // printable ASCII that Windows allows
const LAST = String.raw`[!#-)+\-0-9;=@-Z\[\]^-{}~]`; // Windows drops a full stop at the end
const NAME = new RegExp(`^${INNER}*${LAST}(/${INNER}*${LAST})*$`);
const DEVICE = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$/i;

/**
 * What is wrong with the first bad name, in one line; undefined if all are good.
 *
 * @param {string[]} names
 */
export function findFault(names) {
  const seen = new Map();
  const folders = new Map();
  for (const name of names) {
    if (!NAME.test(name) || name.length > MAX_NAME_LENGTH) {
      return (
        `a name of files should be a path inside the bundle, of at most ${MAX_NAME_LENGTH} ASCII ` +
        `characters that every system allows, found ${JSON.stringify(name.slice(0, 80))}`
      );
    }
    const key = name.toLowerCase();
    const parts = key.split("/");
    if (parts.some((part) => DEVICE.test(part))) {
      return `files holds '${name}', which is a device on Windows`;
    }
    if (key === "manifest.json") return `files holds '${name}', which is the manifest itself`;
    if (seen.has(key)) {
      const other = seen.get(key);
      return `files holds '${name}' and '${other}', which are one file where case does not count`;
    }
    seen.set(key, name);
    for (let i = 1; i < parts.length; i += 1) folders.set(parts.slice(0, i).join("/"), name);
  }
  for (const [key, name] of seen) {
    const inside = folders.get(key);
    if (inside) return `files holds '${name}', a file, and '${inside}', which is inside it`;
  }
  return undefined;
}
