/** Histograms of columns, as SVG that has the colours of the page. */
import { label } from "./plot.js";

const BINS = 40;
const SVG = "http://www.w3.org/2000/svg";

/** How many of column `j`'s values are in each bin of [low, high]. */
export function histogram(data, stride, j, [low, high]) {
  const counts = new Uint32Array(BINS);
  const scale = BINS / (high - low);
  for (let at = j; at < data.length; at += stride) {
    const bin = Math.floor((data[at] - low) * scale);
    if (bin >= 0 && bin < BINS) counts[bin]++;
  }
  return counts;
}

/** A figure of one column: its name, its histogram, the ends of its range. */
export function marginal(name, counts, [low, high]) {
  const figure = document.createElement("figure");
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  const most = Math.max(1, ...counts);
  const steps = [...counts].map((n, i) => `V${(100 - (97 * n) / most).toFixed(1)}H${i + 1}`);
  path.setAttribute("d", `M0 100${steps.join("")}V100Z`);
  svg.setAttribute("viewBox", `0 0 ${BINS} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Histogram of ${name}, from ${label(low)} to ${label(high)}`);
  svg.append(path);
  const caption = document.createElement("figcaption");
  caption.append(...[label(low), name, label(high)].map((text, i) => {
    const part = document.createElement(i === 1 ? "strong" : "span");
    part.textContent = text;
    return part;
  }));
  figure.append(svg, caption);
  return figure;
}
