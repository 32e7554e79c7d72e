/**
 * The page: controls in, pictures and words out. The flow works in a worker; here only pixels are
 * counted, so the page answers at any time.
 *
 * `window.rnvp` holds what is shown, for tests and for the curious: `flow`, `samples` {data, shape,
 * logProb, seed, temperature, context}, `view`, `middle`, `done`.
 */
import { load, InputError, RnvpError } from "./rnvp-runtime/src/index.js";
import { onScheme, scheme } from "./colour.js";
import { Cloud } from "./cloud.js";
import { csv, dropped, save } from "./files.js";
import { grid, Heat } from "./heat.js";
import { label, Plot } from "./plot.js";
import { column, median, range, spread } from "./statistics.js";

// Not .mjs: some hosts serve that as application/octet-stream, which browsers refuse to run.
const ONNXRUNTIME = "onnxruntime-web/dist/ort.wasm.min.js";
const FIRST = 2048; // rows that are drawn at once, for a first impression
const CHUNK = 4096; // rows of each later part
const SIDES = [40, 128]; // of the grids of log-density, a first impression and the picture

const $ = (id) => document.getElementById(id);
const cloud = new Cloud();
const heat = new Heat();
const plots = [new Plot($("cloud")), new Plot($("heat"))];
const shown = { flow: null, samples: null, view: null, middle: null, grid: null, done: false };
window.rnvp = shown;
let pilot; // {data} of FIRST samples at temperature 1: they say where to look

/** Work worth doing for the newest wishes only: calling it again makes what runs stop early. */
function newest(work) {
  let wanted = 0;
  let running = false;
  return async function again() {
    wanted++;
    if (running) return;
    running = true;
    try {
      for (let job = 0; job !== wanted;) {
        job = wanted;
        const { flow } = shown;
        await work(() => job !== wanted || flow !== shown.flow).then(
          () => forgive(work),
          (error) => flow === shown.flow && complain(error, work),
        );
      }
    } finally {
      running = false;
    }
  };
}

const draw = newest(async (stale) => {
  const { flow } = shown;
  if (!flow) return;
  const began = performance.now();
  const [wish, rows] = [wishes(), Number($("count").value)];
  const [data, logProb] = [new (floats(flow))(rows * flow.dim), new (floats(flow))(rows)];
  shown.done = false;
  const ask = (start) => {
    if (start >= rows) return null;
    const part = flow.sample(Math.min(start ? CHUNK : FIRST, rows - start), { ...wish, start });
    part.catch(() => {}); // told where it is awaited, or nobody waits any more
    return part;
  };
  for (let low = 0, part = ask(0); part;) {
    const { x, logProb: found } = await part;
    if (stale()) return;
    part = ask(low + found.length);
    data.set(x.data, low * flow.dim);
    logProb.set(found, low);
    low += found.length;
    if (low === found.length) shown.samples = { data, logProb, shape: [0, flow.dim], ...wish };
    shown.samples.shape[0] = low;
    if (low === found.length) refill();
    else cloud.add(x.data, flow.dim, ...axes());
    $("progress").value = low / rows;
    paint();
    if (low === found.length) markFrame("rnvp-first-samples");
  }
  markFrame("rnvp-drawn");
  shown.samples.seconds = (performance.now() - began) / 1000;
  shown.done = true;
  describe();
});

const survey = newest(async (stale) => {
  const { flow, view, middle } = shown;
  heat.clear();
  shown.grid = null;
  if (!flow || !view || !$("show-density").checked) return;
  for (const side of SIDES) {
    const points = grid(side, view, middle, ...axes());
    const values = await flow.logProb(points, { context: contextFor(side * side) });
    if (stale()) return;
    heat.set(values, side);
    shown.grid = { side, values };
    $("lowest").textContent = `≤ ${label(Math.round(heat.lowest))}`;
    $("highest").textContent = `${label(Math.round(heat.highest * 10) / 10)} nats`;
    paint();
  }
});

const read = newest(async (stale) => {
  const { flow, middle } = shown;
  const { pointer } = plots[0];
  if (!pointer) {
    $("readout").textContent = "";
    return;
  }
  const [i, j] = axes();
  const row = [...middle];
  [row[i], row[j]] = pointer;
  const [value] = await flow.logProb([row], { context: contextFor(1) });
  if (stale()) return;
  const place = `${flow.columns[i]} ${label(pointer[0])}, ${flow.columns[j]} ${label(pointer[1])}`;
  $("readout").textContent = `log p = ${label(value)} nats at ${place}${inSlice()}`;
});

/** What the controls ask of `flow.sample`. */
function wishes() {
  const text = $("seed").value.trim();
  const right = /^-?\d+$/.test(text);
  $("seed").setAttribute("aria-invalid", !right);
  if (!right) throw new InputError(`seed is ${text || "empty"}, expected a whole number such as 7`);
  const temperature = Number($("temperature").value);
  return { seed: BigInt(text), temperature, ...contextOption(contextRow()) };
}

const floats = (flow) => (flow.manifest.dtype === "float64" ? Float64Array : Float32Array);
const axes = () => [$("across").selectedIndex, $("up").selectedIndex];
const contextOption = (row) => (row.length ? { context: row } : {});

/** The numbers of the context's fields; an empty field is 0. */
const contextRow = () =>
  [...$("context").querySelectorAll("input")].map((input) => input.valueAsNumber || 0);

/** The context, once for each of `rows`. */
function contextFor(rows) {
  const row = contextRow();
  if (!row.length) return undefined;
  return { data: Array.from({ length: rows }, () => row).flat(), shape: [rows, row.length] };
}

const inSlice = () => {
  const others = shown.flow.dim - 2;
  if (others < 1) return "";
  return others > 1
    ? `, the other ${others} columns at their medians`
    : ", the other column at its median";
};

/** Draw the counted samples into the plot anew: after a resize, other columns, other colours. */
function refill() {
  const { samples, view, flow } = shown;
  const [width, height] = plots[0].fit();
  plots[1].fit();
  if (!samples || !view) return;
  cloud.clear(width, height, view, Number($("count").value));
  cloud.add(samples.data.subarray(0, samples.shape[0] * flow.dim), flow.dim, ...axes());
}

let painting = false;
/** Paint both plots with the next frame. */
function paint() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    plots[0].paint(shown.samples && cloud.image());
    plots[1].paint(heat.image());
  });
}

/** Note in the page's performance timeline when what was painted is seen. */
const markFrame = (name) => requestAnimationFrame(() => performance.mark(name));

/** Choose the part of the plane to show, and the middle of all other columns. */
function look() {
  const { flow } = shown;
  const columns = axes().map((i) => column(pilot.data, flow.dim, i));
  shown.view = columns.map(range);
  shown.middle = flow.columns.map((_, j) => median(column(pilot.data, flow.dim, j)));
  for (const plot of plots) {
    plot.view = shown.view;
    plot.names = axes().map((i) => flow.columns[i]);
    plot.pointer = null;
  }
  const names = plots[0].names.join(" and ");
  $("slice").textContent = `Log-density over ${names}${inSlice()}: nats, in the data's own units.`;
  $("readout").textContent = "";
  refill();
  paint();
  survey();
}

/** Say in words what is drawn. */
function describe() {
  const { flow, samples } = shown;
  const [rows, dim] = samples.shape;
  const count = (n) => n.toLocaleString("en");
  const each = axes().map((i) => {
    const { mean, deviation } = spread(column(samples.data, dim, i));
    return `${flow.columns[i]} ${label(mean)} ± ${label(deviation)}`;
  });
  const outside = cloud.outside ? ` Outside the view: ${count(cloud.outside)}.` : "";
  $("summary").textContent =
    `${count(rows)} samples of seed ${samples.seed} at temperature ${samples.temperature}, in ` +
    `${samples.seconds.toFixed(1)} s. Mean ± standard deviation: ${each.join(", ")}. ` +
    `Mean log p ${label(spread(samples.logProb).mean)} nats.${outside}`;
  const given = samples.context ? `, context=[${samples.context.join(", ")}]` : "";
  $("python").textContent =
    'import rnvp_runtime as rnvp\nflow = rnvp.load("model.rnvp")\n' +
    `flow.sample(${rows}, seed=${samples.seed},\n    temperature=${samples.temperature}${given})`;
  const names = ["row", ...flow.columns.slice(0, 4), ...(dim > 4 ? ["…"] : []), "log_prob"];
  const cells = [0, 1, 2].map((i) => [
    `${i}`,
    ...Array.from(samples.data.subarray(i * dim, i * dim + Math.min(dim, 4)), label),
    ...(dim > 4 ? ["…"] : []),
    label(samples.logProb[i]),
  ]);
  $("first-rows").replaceChildren(line("th", names), ...cells.map((row) => line("td", row)));
}

const element = (tag, properties) => Object.assign(document.createElement(tag), properties);

function line(tag, texts) {
  const row = document.createElement("tr");
  row.append(...texts.map((text) => element(tag, { textContent: text })));
  return row;
}

/** Show another bundle, if it is one: its samples must be drawn before the last one goes. */
async function open(bundle) {
  let flow;
  try {
    flow = await load(bundle, { ort: ONNXRUNTIME });
    const zeros = contextOption(flow.contextColumns.map(() => 0));
    const { x } = await flow.sample(FIRST, { seed: 7, ...zeros });
    shown.flow?.close();
    Object.assign(shown, { flow, samples: null });
    pilot = x;
    complaints.clear();
    forgive(open);
  } catch (error) {
    flow?.close();
    complain(error, open);
    return;
  }
  const { flow: about, parameters, id, dtype } = { ...flow.manifest, ...flow.manifest.flow };
  $("title").textContent = document.title = about.description;
  $("facts").textContent =
    `${parameters.toLocaleString("en")} parameters, ${dtype}, bundle ${id}; ` +
    "computed in this browser.";
  $("temperature").value = 1;
  $("temperature-value").textContent = "1";
  for (const [select, chosen] of [
    [$("across"), 0],
    [$("up"), Math.min(1, flow.dim - 1)],
  ]) {
    select.replaceChildren(...flow.columns.map((name) => new Option(name)));
    select.selectedIndex = chosen;
  }
  $("axes").hidden = flow.dim < 3;
  $("context").hidden = !flow.contextDim;
  $("context").replaceChildren(
    $("context").firstElementChild,
    ...flow.contextColumns.map(contextField),
  );
  look();
  draw();
}

function contextField(name, i) {
  const field = element("div", { className: "field inline" });
  const id = `context-${i}`;
  field.append(
    element("label", { htmlFor: id, textContent: name }),
    element("input", { id, type: "number", step: "any", value: "0" }),
  );
  return field;
}

/** Look where the samples now are: another context may have moved them. */
const lookAgain = newest(async (stale) => {
  const { flow } = shown;
  const { x } = await flow.sample(FIRST, { seed: 7, ...contextOption(contextRow()) });
  if (stale()) return;
  pilot = x;
  look();
  draw();
});

const complaints = new Map(); // what failed -> why; each is told until it succeeds

function complain(error, failed) {
  if (!(error instanceof RnvpError)) console.error(error);
  complaints.set(failed, error?.message ?? `${error}`);
  tell();
  if (!shown.flow) $("facts").textContent = "Drop a .rnvp folder here, or choose one.";
}

function forgive(failed) {
  complaints.delete(failed);
  tell();
}

function tell() {
  const text = [...new Set(complaints.values())].join(" · ");
  if ($("alert").textContent !== text) $("alert").textContent = text;
  $("alert").hidden = !text;
}

/** Put the pointer of both plots at [x, y], or nowhere. */
function point(place) {
  for (const plot of plots) plot.pointer = place;
  paint();
  read();
}

/** The arrow keys move the pointer: a fiftieth of the view, with Shift a tenth. */
function step(event) {
  if (!shown.view) return;
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  if (event.key === "Escape") point(null);
  if (!moves[event.key]) return;
  event.preventDefault();
  const from = plots[0].pointer ?? shown.view.map(([low, high]) => (low + high) / 2);
  const size = event.shiftKey ? 0.1 : 0.02;
  point(
    shown.view.map(([low, high], k) =>
      Math.min(high, Math.max(low, from[k] + moves[event.key][k] * size * (high - low))),
    ),
  );
}

for (const [i, id] of ["cloud", "heat"].entries()) {
  $(id).addEventListener("pointermove", (event) => point(plots[i].at(event)));
  $(id).addEventListener("pointerleave", () => point(null));
  $(id).addEventListener("keydown", step);
  new ResizeObserver(() => (refill(), paint())).observe($(id));
}
$("drawing").addEventListener("submit", (event) => (event.preventDefault(), draw()));
$("temperature").addEventListener("input", ({ target }) => {
  $("temperature-value").textContent = target.value;
  draw();
});
$("seed-slider").addEventListener("input", ({ target }) => {
  $("seed").value = target.value;
  draw();
});
$("count").addEventListener("change", draw);
$("axes").addEventListener("change", () => {
  look();
  if (shown.done) describe();
});
$("context").addEventListener("input", () => {
  shown.done = false;
  lookAgain();
});
$("show-density").addEventListener("change", ({ target }) => {
  $("density").hidden = !target.checked;
  survey();
});
$("download").addEventListener("click", async () => {
  if (!shown.done) return;
  const { data, logProb, seed } = shown.samples;
  save(await csv(shown.flow.columns, data, logProb), `samples-seed-${seed}.csv`);
});
for (const id of ["folder", "files"]) {
  $(id).addEventListener("change", ({ target }) => {
    if (target.files.length) open([...target.files]);
    target.value = ""; // so that the same choice counts again
  });
}
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  open(await dropped(event.dataTransfer));
});

function colours() {
  $("ramp").style.background = `linear-gradient(90deg, ${scheme().ramp.join(", ")})`;
  paint();
}
onScheme(colours);
colours();
open(new URLSearchParams(location.search).get("bundle") ?? "model.rnvp");
