/** A canvas with axes: a picture, its ticks and names, and the pointer. */
import { scheme } from "./colour.js";

const MARGIN = { left: 46, right: 10, top: 8, bottom: 42 }; // CSS pixels

export class Plot {
  #canvas;
  view = null; // [[left, right], [bottom, top]], in data units
  names = ["", ""];
  pointer = null; // [x, y], in data units

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Fit the canvas to its place on the page; the picture's size in device pixels. */
  fit() {
    const ratio = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.#canvas;
    const [width, height] = [clientWidth, clientHeight].map((size) => Math.round(size * ratio));
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      Object.assign(this.#canvas, { width, height });
    }
    const inner = this.#inner();
    return [
      Math.max(1, Math.round(inner.width * ratio)),
      Math.max(1, Math.round(inner.height * ratio)),
    ];
  }

  /** Draw `image`, or only the axes. */
  paint(image) {
    const ratio = devicePixelRatio || 1;
    const context = this.#canvas.getContext("2d");
    const colours = scheme();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const { left, top, width, height } = this.#inner();
    if (image) {
      context.imageSmoothingQuality = "high";
      context.drawImage(
        image,
        Math.round(left * ratio),
        Math.round(top * ratio),
        Math.round(width * ratio),
        Math.round(height * ratio),
      );
    }
    if (!this.view) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.strokeStyle = colours.line;
    context.strokeRect(left - 0.5, top - 0.5, width + 1, height + 1);
    this.#ticks(context, colours);
    if (this.pointer) this.#cross(context, colours);
  }

  /** The data units under a pointer event; null outside the axes. */
  at({ clientX, clientY }) {
    if (!this.view) return null;
    const box = this.#canvas.getBoundingClientRect();
    const { left, top, width, height } = this.#inner();
    const across = (clientX - box.left - left) / width;
    const down = (clientY - box.top - top) / height;
    if (across < 0 || across > 1 || down < 0 || down > 1) return null;
    const [[west, east], [south, north]] = this.view;
    return [west + across * (east - west), north - down * (north - south)];
  }

  #inner() {
    const { clientWidth, clientHeight } = this.#canvas;
    return {
      left: MARGIN.left,
      top: MARGIN.top,
      width: Math.max(1, clientWidth - MARGIN.left - MARGIN.right),
      height: Math.max(1, clientHeight - MARGIN.top - MARGIN.bottom),
    };
  }

  #place([x, y]) {
    const { left, top, width, height } = this.#inner();
    const [[west, east], [south, north]] = this.view;
    return [
      left + ((x - west) / (east - west)) * width,
      top + ((north - y) / (north - south)) * height,
    ];
  }

  #ticks(context, colours) {
    const { left, top, width, height } = this.#inner();
    const [horizontal, vertical] = this.view;
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = colours.quiet;
    context.textBaseline = "top";
    context.textAlign = "center";
    for (const value of ticks(horizontal)) {
      const [x] = this.#place([value, vertical[0]]);
      context.fillRect(x - 0.5, top + height, 1, 4);
      context.fillText(label(value), x, top + height + 6);
    }
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const value of ticks(vertical)) {
      const [, y] = this.#place([horizontal[0], value]);
      context.fillRect(left - 4, y - 0.5, 4, 1);
      context.fillText(label(value), left - 7, y);
    }
    context.fillStyle = colours.ink;
    context.textAlign = "center";
    context.fillText(this.names[0], left + width / 2, top + height + 32, width);
    context.save();
    context.translate(9, top + height / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(this.names[1], 0, 0, height);
    context.restore();
  }

  #cross(context, colours) {
    const { left, top, width, height } = this.#inner();
    const [x, y] = this.#place(this.pointer);
    context.strokeStyle = colours.pointer;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, top);
    context.lineTo(x, top + height);
    context.moveTo(left, y);
    context.lineTo(left + width, y);
    context.stroke();
    context.beginPath();
    context.arc(x, y, 5, 0, 2 * Math.PI);
    context.lineWidth = 2;
    context.stroke();
  }
}

/** Round numbers within a range, about six of them. */
export function ticks([low, high]) {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

/** A number in at most four digits. */
export const label = (value) => `${Number(value.toPrecision(4))}`.replace("-", "−");
