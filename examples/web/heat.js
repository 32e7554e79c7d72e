/** Log-density as a picture: the highest at the top of the ramp, 12 nats below at its foot. */
import { scheme, table } from "./colour.js";

const STEPS = 256;
const DEPTH = 12; // nats

export class Heat {
  #canvas = new OffscreenCanvas(1, 1);
  #values = null;
  highest = NaN;
  lowest = NaN;

  /** Show nothing. */
  clear() {
    this.#values = null;
  }

  /** Show `values`, nats, of a grid of side x side, the upper left first, row by row. */
  set(values, side) {
    this.#values = values;
    this.#canvas = new OffscreenCanvas(side, side);
    this.highest = values.reduce((most, v) => (v > most ? v : most), -Infinity);
    this.lowest = this.highest - DEPTH;
  }

  /** The picture, a pixel for each point of the grid; null if there is none yet. */
  image() {
    if (!this.#values) return null;
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = table(scheme().ramp, STEPS);
    this.#values.forEach((value, i) => {
      const height = Math.max(0, Math.min(1, (value - this.lowest) / DEPTH)) || 0;
      pixels[i] = colours[Math.round(height * (STEPS - 1))];
    });
    context.putImageData(image, 0, 0);
    return this.#canvas;
  }
}

/** The points of that grid as rows: `middle` with columns i and j replaced; [n, d] row by row. */
export function grid(side, view, middle, i, j) {
  const [[left, right], [bottom, top]] = view;
  const width = middle.length;
  const data = new Float64Array(side * side * width);
  for (let cell = 0, at = 0; cell < side * side; cell++, at += width) {
    for (let k = 0; k < width; k++) data[at + k] = middle[k];
    data[at + i] = left + ((right - left) * ((cell % side) + 0.5)) / side;
    data[at + j] = top - ((top - bottom) * (Math.floor(cell / side) + 0.5)) / side;
  }
  return { data, shape: [side * side, width] };
}
