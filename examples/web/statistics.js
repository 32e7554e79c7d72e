/** What a person may want to know of numbers: their middle, their spread, where most are. */

/** Column `j` of rows of `stride` numbers. */
export function column(data, stride, j) {
  const values = new Float64Array(data.length / stride);
  for (let i = 0; i < values.length; i++) values[i] = data[i * stride + j];
  return values;
}

/** The quantile `q` of sorted numbers. */
const quantile = (sorted, q) => sorted[Math.round(q * (sorted.length - 1))];

export const median = (values) => quantile(values.toSorted(), 0.5);

/** A range that holds all but the outermost of the numbers, with air around. */
export function range(values) {
  const sorted = values.filter(Number.isFinite).sort();
  if (!sorted.length) return [-1, 1];
  const [low, high] = [quantile(sorted, 0.002), quantile(sorted, 0.998)];
  const air = (high - low) * 0.18 || Math.abs(low) || 1;
  return [low - air, high + air];
}

/** Mean, standard deviation, lowest and highest. */
export function spread(values) {
  let [sum, squares, lowest, highest] = [0, 0, Infinity, -Infinity];
  for (const value of values) {
    sum += value;
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  const mean = sum / values.length;
  for (const value of values) squares += (value - mean) ** 2;
  return { mean, deviation: Math.sqrt(squares / values.length), lowest, highest };
}
