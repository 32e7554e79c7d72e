/** How many rows to run at once. */

const BUDGET = 1 << 20; // bytes of activations, half of a common L2 cache
const FEWEST = 256;
const MOST = 8192;
const MULTIPLE = 64;

/**
 * Rows whose activations fit a processor's cache: `rnvp_runtime.tiles.rows_in_a_tile`. Tiles keep
 * memory bounded, and are faster than one large run.
 *
 * @param {readonly number[]} widths of the flow's layers
 * @param {number} itemsize bytes of a number
 */
export function rowsInATile(widths, itemsize) {
  const [widest = 0, second = 0] = [...widths].sort((one, other) => other - one);
  const rowBytes = Math.max(1, widest + second) * itemsize;
  const rows = Math.floor(Math.floor(BUDGET / rowBytes) / MULTIPLE) * MULTIPLE;
  return Math.min(Math.max(rows, FEWEST), MOST);
}
