/**
 * Many points as a picture: a count for each pixel, then a colour for each count. Adding points
 * costs the same however many there are already, and 100,000 take a few milliseconds.
 */
import { scheme, table } from "./colour.js";

const STEPS = 256;

export class Cloud {
  #canvas = new OffscreenCanvas(1, 1);
  #counts = new Uint16Array(1);
  #view;
  #size = 1;
  #points = 0;
  outside = 0;

  /** Begin anew: `width` by `height` pixels that show `view`, for about `expected` points. */
  clear(width, height, view, expected) {
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas = new OffscreenCanvas(width, height);
      this.#counts = new Uint16Array(width * height);
    } else {
      this.#counts.fill(0);
    }
    this.#view = view;
    // A point is a square of 1 to 4 pixels: smaller where there will be more, and by screen.
    this.#size = Math.max(1, Math.min(4, Math.round((width / 250) * (10000 / expected) ** 0.15)));
    this.#points = this.outside = 0;
  }

  /** Add rows of `data`, numbers row by row, `stride` a row: columns `i` across and `j` up. */
  add(data, stride, i, j) {
    const { width, height } = this.#canvas;
    const [[left, right], [bottom, top]] = this.#view;
    const size = this.#size;
    const [scaleX, scaleY] = [width / (right - left), height / (top - bottom)];
    for (let at = 0; at < data.length; at += stride) {
      const x = Math.round((data[at + i] - left) * scaleX - size / 2);
      const y = Math.round((top - data[at + j]) * scaleY - size / 2);
      if (!(x >= 0 && y >= 0 && x + size <= width && y + size <= height)) {
        this.outside++;
        continue;
      }
      for (let row = y; row < y + size; row++) {
        for (let cell = row * width + x; cell < row * width + x + size; cell++)
          this.#counts[cell]++;
      }
    }
    this.#points += data.length / stride;
  }

  /** The picture. */
  image() {
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = this.#colours();
    const counts = this.#counts;
    for (let i = 0; i < pixels.length; i++) {
      if (counts[i]) pixels[i] = colours[Math.min(counts[i], STEPS - 1)];
    }
    context.putImageData(image, 0, 0);
    return this.#canvas;
  }

  /** A colour a count: the fewer points, the more each stands out. */
  #colours() {
    const ramp = table(scheme().ramp, STEPS);
    const weight = Math.min(0.5, Math.max(0.06, 0.5 * (2000 / this.#points) ** 0.4));
    return Uint32Array.from({ length: STEPS }, (_, count) => {
      const filled = 1 - (1 - weight) ** count;
      return ramp[Math.round((0.3 + 0.7 * filled) * (STEPS - 1))];
    });
  }
}
