/**
 * The page: controls in, pictures and words out. The flow works in a worker; here only pixels are
 * counted, so the page answers at any time.
 *
 * `window.rnvp` holds what is shown, for tests and for the curious: `flow`, `samples` {data, shape,
 * logProb, seed, temperature, context}, `view`, `middle`, `done`.
 */
import { load, RnvpError } from "./rnvp-runtime/src/index.js";
import * as address from "./address.js";
import { axes, choose, chosen, keepApart, showDensity } from "./choices.js";
import { copy } from "./clipboard.js";
import { onScheme, scheme } from "./colour.js";
import { Cloud } from "./cloud.js";
import * as complaints from "./complaints.js";
import { describe } from "./description.js";
import { ContextFields, FieldError, seed } from "./fields.js";
import { csv, dropped, nameOf, save } from "./files.js";
import { grid, Heat } from "./heat.js";
import { label, Plot } from "./plot.js";
import { listen } from "./pointing.js";
import { column, median, range } from "./statistics.js";

// What the page was written with; of use only to bundles that the native engine does not serve.
// Not .mjs: some hosts serve that as application/octet-stream, which browsers refuse to run.
const ONNXRUNTIME = "onnxruntime-web/dist/ort.wasm.min.js";
const ENGINE = document.querySelector('meta[name="rnvp-engine"]').content;
const FIRST = 2048; // rows that are drawn at once, for a first impression
const CHUNK = 4096; // rows of each later part
const SIDES = [40, 128]; // of the grids of log-density, a first impression and the picture

const $ = (id) => document.getElementById(id);
const cloud = new Cloud();
const heat = new Heat();
const plots = [new Plot($("cloud")), new Plot($("heat"))];
const shown = { flow: null, samples: null, view: null, middle: null, grid: null, done: false };
window.rnvp = shown;
let pilot; // {x, logProb} of FIRST samples at temperature 1: they say where to look
let fields = new ContextFields([], []);
let ranges = []; // of the histogram of each column

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
          () => complaints.forgive(again),
          (error) => flow === shown.flow && complain(error, again),
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
    else cloud.add(...plotted(x.data, found));
    $("progress").value = low / rows;
    paint();
    if (low === found.length) markFrame("rnvp-first-samples");
  }
  markFrame("rnvp-drawn");
  shown.samples.seconds = (performance.now() - began) / 1000;
  shown.done = true;
  tellWhatIsDrawn();
  remember();
});

const survey = newest(async (stale) => {
  const { flow, view, middle } = shown;
  heat.clear();
  shown.grid = null;
  if (!flow || !view || flow.dim === 1 || !$("show-density").checked) return;
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
  const row = [...middle];
  const pointed = flow.dim === 1 ? [0] : axes();
  pointed.forEach((column, k) => (row[column] = pointer[k]));
  const [value] = await flow.logProb([row], { context: contextFor(1) });
  if (stale()) return;
  const place = pointed.map((column, k) => `${flow.columns[column]} ${label(pointer[k])}`);
  $("readout").textContent = `log p = ${label(value)} nats at ${place.join(", ")}${inSlice()}`;
});

/** What the controls ask of `flow.sample`. Throws a FieldError. */
function wishes() {
  const temperature = Number($("temperature").value);
  return { seed: seed(), temperature, ...contextOption(fields.values()) };
}

const floats = (flow) => (flow.manifest.dtype === "float64" ? Float64Array : Float32Array);
const contextOption = (row) => (row.length ? { context: row } : {});

/** Rows as `Cloud.add` takes them. One column is drawn against log p. */
function plotted(data, logProb) {
  if (shown.flow.dim > 1) return [data, shown.flow.dim, ...axes()];
  const pairs = new Float64Array(2 * data.length);
  data.forEach((value, i) => pairs.set([value, logProb[i]], 2 * i));
  return [pairs, 2, 0, 1];
}

/** The context, once for each of `rows`. */
function contextFor(rows) {
  const row = fields.values();
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
  const [rows] = samples.shape;
  const drawn = [samples.data.subarray(0, rows * flow.dim), samples.logProb.subarray(0, rows)];
  cloud.add(...plotted(...drawn));
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
  const every = flow.columns.map((_, j) => column(pilot.x.data, flow.dim, j));
  ranges = every.map(range);
  shown.middle = every.map(median);
  const [i, j] = axes();
  shown.view = [ranges[i], flow.dim === 1 ? range(Float64Array.from(pilot.logProb)) : ranges[j]];
  for (const plot of plots) {
    plot.view = shown.view;
    plot.names = [flow.columns[i], flow.dim === 1 ? "log p (nats)" : flow.columns[j]];
    plot.pointer = null;
  }
  const given = givenInWords();
  $("slice").textContent =
    `Log-density over ${plots[0].names.join(" and ")}${inSlice()}` +
    `${given && `, given ${given}`}: nats, in the data's own units.`;
  $("readout").textContent = "";
  refill();
  paint();
  survey();
}

/** The conditions in words; nothing where one is not a number, which is told beside its field. */
function givenInWords() {
  try {
    return fields.inWords(fields.values());
  } catch (error) {
    if (error instanceof FieldError) return "";
    throw error;
  }
}

function tellWhatIsDrawn() {
  const { flow, samples } = shown;
  const given = samples.context ? fields.inWords(samples.context) : "";
  describe(flow, samples, { ranges, outside: cloud.outside, given });
}

/** Keep the choices in the address. */
const remember = () => address.write(chosen(shown.flow), fields.changed());

/** Set all controls to choices; what is not named is as usual. */
function restore(wanted) {
  choose(shown.flow, wanted);
  fields.set(wanted.given);
  fields.warn();
}

/** Show another bundle, if it is one: its samples must be drawn before the last one goes. */
async function open(bundle, wanted = { given: new Map() }) {
  let flow;
  try {
    // Without a name the runtime takes the native engine wherever the bundle has it.
    const named = ENGINE === "onnxruntime" ? { engine: ENGINE } : {};
    flow = await load(bundle, { ...named, ort: ONNXRUNTIME });
    const { reference } = flow.manifest;
    const given = new ContextFields(flow.contextColumns, reference?.context_columns ?? []);
    const first = contextOption(given.first());
    const { x, logProb } = await flow.sample(FIRST, { seed: 7, ...first });
    shown.flow?.close();
    Object.assign(shown, { flow, samples: null });
    [pilot, fields] = [{ x, logProb }, given];
    complaints.forgiveAll();
    complaints.forgive(open);
  } catch (error) {
    flow?.close();
    complain(error, open);
    return;
  }
  const { flow: about, parameters, id, dtype } = { ...flow.manifest, ...flow.manifest.flow };
  $("title").textContent = document.title = nameOf(bundle) ?? about.description;
  $("facts").textContent = about.description;
  $("origin").textContent =
    `${parameters.toLocaleString("en")} parameters, ${dtype}, bundle ${id}; ` +
    "computed in this browser.";
  document.querySelector("main").dataset.state = "ready";
  for (const select of [$("across"), $("up")]) {
    select.replaceChildren(...flow.columns.map((name) => new Option(name)));
  }
  $("axes").hidden = flow.dim < 3;
  $("context").hidden = !flow.contextDim;
  $("context").replaceChildren($("context").firstElementChild, ...fields.elements());
  restore(wanted);
  $("view").hidden = flow.dim === 1 && !flow.contextDim;
  complaints.tell();
  if (fields.changed().length) {
    lookAgain();
  } else {
    look();
    draw();
  }
}

/** Look where the samples now are: another context may have moved them. */
const lookAgain = newest(async (stale) => {
  const { flow } = shown;
  const given = contextOption(fields.values());
  const { x, logProb } = await flow.sample(FIRST, { seed: 7, ...given });
  if (stale()) return;
  pilot = { x, logProb };
  look();
  draw();
});

function complain(error, failed) {
  // A field is told once, by what reads it first.
  if (error instanceof FieldError && failed !== draw && failed !== lookAgain) return;
  if (!(error instanceof RnvpError)) console.error(error);
  complaints.complain(error, failed);
  if (!shown.flow) {
    $("facts").textContent = "Drop a .rnvp folder here, or choose one.";
    document.querySelector("main").dataset.state = "empty";
  }
}

/** Put the pointer of both plots at [x, y], or nowhere. */
function point(place) {
  for (const plot of plots) plot.pointer = place;
  paint();
  read();
}

for (const [i, id] of ["cloud", "heat"].entries()) {
  listen($(id), plots[i], point);
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
  if (!shown.flow) return;
  keepApart(shown.flow);
  look();
  if (shown.done) tellWhatIsDrawn();
  remember();
});
$("context").addEventListener("input", () => {
  shown.done = false;
  fields.warn();
  lookAgain();
});
$("show-density").addEventListener("change", () => {
  if (!shown.flow) return;
  showDensity(shown.flow);
  survey();
  remember();
});
$("copy-code").addEventListener("click", ({ target }) => copy($("python").textContent, target));
$("copy-link").addEventListener("click", ({ target }) => {
  if (!shown.flow) return;
  copy(address.writeNow(chosen(shown.flow), fields.changed()), target);
});
addEventListener("hashchange", () => {
  if (!shown.flow) return;
  restore(address.read());
  lookAgain();
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
open(new URLSearchParams(location.search).get("bundle") ?? "model.rnvp", address.read());
