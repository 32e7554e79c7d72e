/**
 * Runs JavaScript for Python tests, in Node and in Chromium. Each line of standard input is
 * {code, args}. `code` is the body of an async function. It runs here with `args`, `load` (of
 * rnvp-runtime), `ort` (onnxruntime-node) and `newPage`. Each line of standard output is {result}
 * or {error: {name, message}}. Typed arrays are sent as {dtype, base64}.
 */
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const packages = createRequire(new URL("../../runtime/js/", import.meta.url));
const runtime = await import("../../runtime/js/src/index.js");
const AsyncFunction = (async () => {}).constructor;
let browser;

/** A page in a new browser context; `page.complaints` collects the errors in the page. */
async function newPage(options = {}) {
  const { chromium } = packages("playwright-core");
  browser ??= await chromium.launch({
    executablePath: process.env.RNVP_CHROMIUM || "chromium",
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  const page = await (await browser.newContext(options)).newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(error.message));
  page.on("console", (line) => line.type() === "error" && page.complaints.push(line.text()));
  await page.addInitScript(`window.packed = ${packed}`);
  return page;
}

/** A page in a new browser, which has nothing in its cache. */
async function freshPage(options) {
  await browser?.close();
  browser = undefined;
  return newPage(options);
}

/** `value` with its typed arrays as base64. This function also runs in pages. */
function packed(value) {
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) {
      text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    }
    const dtype = value.constructor.name
      .replace("Array", "")
      .replace(/Big|Clamped/, "")
      .toLowerCase();
    return { dtype, base64: btoa(text) };
  }
  if (typeof value === "bigint") return `${value}`;
  if (Array.isArray(value)) return value.map(packed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, packed(v)]));
}

const scope = { ...runtime, ort: packages("onnxruntime-node"), packages, newPage, freshPage };
for await (const line of createInterface({ input: process.stdin })) {
  const { code, args } = JSON.parse(line);
  let answer;
  try {
    const names = Object.keys(scope);
    const body = new AsyncFunction("args", ...names, code);
    answer = { result: packed((await body(args, ...names.map((name) => scope[name]))) ?? null) };
  } catch (error) {
    answer = { error: { name: error?.name ?? "Error", message: error?.message ?? `${error}` } };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser?.close();
process.exit(0);
