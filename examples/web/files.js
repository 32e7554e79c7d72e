/** Files that a person dropped, chosen folders included, and the table that they take away. */

/** The files of a drop, by path: a Map of File. Call it within the drop event. */
export async function dropped({ items, files }) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return new Map([...files].map((file) => [file.name, file]));
  const found = await Promise.all(entries.map((entry) => below(entry, "")));
  return new Map(found.flat());
}

async function below(entry, folder) {
  const path = folder + entry.name;
  if (entry.isFile) {
    return [[path, await new Promise((resolve, reject) => entry.file(resolve, reject))]];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map((one) => below(one, `${path}/`)))).flat();
}

const ROWS_AT_ONCE = 50_000; // numbers, about 20 ms of text

/** A CSV of rows and their log_prob, written in parts so that the page goes on answering. */
export async function csv(columns, data, logProb) {
  const width = columns.length;
  const parts = [[...columns, "log_prob"].map(quoted).join(",") + "\r\n"];
  const step = Math.max(1, Math.floor(ROWS_AT_ONCE / width));
  for (let low = 0; low < logProb.length; low += step) {
    let text = "";
    for (let i = low; i < Math.min(low + step, logProb.length); i++) {
      text += `${data.subarray(i * width, (i + 1) * width).join(",")},${logProb[i]}\r\n`;
    }
    parts.push(text);
    await new Promise((resolve) => setTimeout(resolve));
  }
  return new Blob(parts, { type: "text/csv" });
}

const quoted = (name) => (/[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name);

/**
 * What a person calls a bundle: its folder's name without `.rnvp`; for the page's own, the name
 * that `write_page` put into the page. Undefined for loose files.
 */
export function nameOf(bundle) {
  if (typeof bundle === "string") {
    const written = document.querySelector('meta[name="rnvp-flow"]').content;
    if (bundle === "model.rnvp" && written) return written;
    return withoutSuffix(bundle.split(/[?#]/)[0].split("/").filter(Boolean).at(-1));
  }
  const [first] = bundle instanceof Map ? bundle.keys() : bundle.map((f) => f.webkitRelativePath);
  return first?.includes("/") ? withoutSuffix(first.split("/")[0]) : undefined;
}

const withoutSuffix = (name) => name?.replace(/\.(rnvp|zip)$/, "") || undefined;

/** Offer `blob` as a download. */
export function save(blob, name) {
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(blob),
    download: name,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
