/** Pointing at a plot: with a mouse, a finger or the arrow keys. */

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/**
 * Call `point` with the place [x, y] in data units that a person points at, or null. A mouse points
 * while it is over the plot; a finger's tap stays until the next.
 */
export function listen(canvas, plot, point) {
  const isMouse = (event) => event.pointerType !== "touch";
  canvas.addEventListener("pointermove", (event) => isMouse(event) && point(plot.at(event)));
  canvas.addEventListener("pointerleave", (event) => isMouse(event) && point(null));
  canvas.addEventListener("click", (event) => isMouse(event) || point(plot.at(event)));
  canvas.addEventListener("keydown", (event) => step(event, plot, point));
}

/** The arrow keys move the pointer: a fiftieth of the view, with Shift a tenth. */
function step(event, plot, point) {
  if (!plot.view) return;
  if (event.key === "Escape") point(null);
  const move = MOVES[event.key];
  if (!move) return;
  event.preventDefault();
  const from = plot.pointer ?? plot.view.map(([low, high]) => (low + high) / 2);
  const size = event.shiftKey ? 0.1 : 0.02;
  point(
    plot.view.map(([low, high], k) =>
      Math.min(high, Math.max(low, from[k] + move[k] * size * (high - low))),
    ),
  );
}
