/** What is drawn, in words and tables. */
import { element } from "./fields.js";
import { histogram, marginal } from "./marginals.js";
import { label } from "./plot.js";
import { column, spread } from "./statistics.js";

const MOST_COLUMNS = 48; // in the statistics and the histograms
const FIRST_COLUMNS = 4; // in the first rows

const $ = (id) => document.getElementById(id);
const count = (n) => n.toLocaleString("en");

/**
 * Describe the samples that are drawn.
 *
 * `ranges` has the range of the histogram of each column, `outside` is how many points the plot
 * does not show, and `given` is the conditions in words.
 */
export function describe(flow, samples, { ranges, outside, given }) {
  const [rows] = samples.shape;
  $("summary").textContent =
    `${count(rows)} samples of seed ${samples.seed} at temperature ${samples.temperature}, in ` +
    `${samples.seconds.toFixed(1)} s${given && `, given ${given}`}.` +
    (outside ? ` Outside the view: ${count(outside)}.` : "");
  $("python").textContent = python(samples);
  columns(flow, samples, ranges);
  firstRows(flow, samples);
}

function python({ shape, seed, temperature, context }) {
  const given = context ? `, context=[${context.join(", ")}]` : "";
  return (
    'import rnvp_runtime as rnvp\nflow = rnvp.load("model.rnvp")\n' +
    `flow.sample(${shape[0]}, seed=${seed},\n    temperature=${temperature}${given})`
  );
}

function columns(flow, { data, logProb }, ranges) {
  const shown = flow.columns.slice(0, MOST_COLUMNS);
  const cells = (name, values) => {
    const { mean, deviation, lowest, highest } = spread(values);
    return [name, ...[mean, deviation, lowest, highest].map(label)];
  };
  $("statistics").replaceChildren(
    row("th", ["column", "mean", "std. deviation", "lowest", "highest"]),
    ...shown.map((name, j) => row("td", cells(name, column(data, flow.dim, j)))),
    row("td", cells("log p (nats)", logProb)),
  );
  $("marginals").replaceChildren(
    ...shown.map((name, j) => marginal(name, histogram(data, flow.dim, j, ranges[j]), ranges[j])),
  );
  const left = flow.dim - shown.length;
  $("units").textContent =
    "Columns are in the units of the data." + (left ? ` ${left} more columns are not shown.` : "");
}

function firstRows(flow, { data, logProb }) {
  const { dim } = flow;
  const more = dim > FIRST_COLUMNS ? ["…"] : [];
  const names = ["row", ...flow.columns.slice(0, FIRST_COLUMNS), ...more, "log_prob"];
  const cells = [0, 1, 2].map((i) => [
    `${i}`,
    ...Array.from(data.subarray(i * dim, i * dim + Math.min(dim, FIRST_COLUMNS)), label),
    ...more,
    label(logProb[i]),
  ]);
  $("first-rows").replaceChildren(row("th", names), ...cells.map((texts) => row("td", texts)));
}

function row(tag, texts) {
  const line = element("tr");
  line.append(...texts.map((text) => element(tag, { textContent: text })));
  return line;
}
