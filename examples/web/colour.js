/** The colours of the plots: one ramp from nothing to much, for each scheme of the page. */

const dark = matchMedia("(prefers-color-scheme: dark)");

const LIGHT = {
  ramp: ["#ffffff", "#cfe1f5", "#8fbde6", "#4a8fd0", "#2457b8", "#1d2f80", "#170f45"],
  ink: "#1b1f24",
  quiet: "#5a6068",
  line: "#d9dad5",
  pointer: "#d3301f",
};
const DARK = {
  ramp: ["#171b21", "#16365c", "#1f5c9c", "#2f8ac4", "#5bbcd6", "#a5e3d8", "#f7fbe6"],
  ink: "#e8eaed",
  quiet: "#a0a8b3",
  line: "#2c333c",
  pointer: "#ff6b5b",
};

/** The scheme that the person prefers now. */
export const scheme = () => (dark.matches ? DARK : LIGHT);

/** Call `listener` when the person prefers another. */
export const onScheme = (listener) => dark.addEventListener("change", listener);

/** `steps` colours of a ramp as ImageData has them in a Uint32Array (little-endian RGBA). */
export function table(ramp, steps) {
  const stops = ramp.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: steps }, (_, i) => {
    const place = (i / (steps - 1)) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    const [r, g, b] = stops[low].map(
      (from, k) => from + (stops[low + 1][k] - from) * (place - low),
    );
    return ((255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
  });
}
