/** What a person may want to know of some rows: their middle, their spread, where most of them are. */

/** Column `j` of rows of `stride` numbers. */
export const column = (data, stride, j) =>
  Float64Array.from({ length: data.length / stride }, (_, i) => data[i * stride + j]);

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

/** Mean and standard deviation. */
export function spread(values) {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) };
}
