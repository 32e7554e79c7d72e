/** The controls as choices: what a person has chosen, and setting them to choices. */

const $ = (id) => document.getElementById(id);
let before = [0, 1]; // the columns before the last change

/** The columns across and up, as indices. */
export const axes = () => [$("across").selectedIndex, $("up").selectedIndex];

const second = (flow) => Math.min(1, flow.dim - 1);

/** The choices that are not the usual ones, as pairs for the address. */
export function chosen(flow) {
  const [i, j] = axes();
  return [
    ["seed", $("seed").value.trim(), "7"],
    ["temperature", $("temperature").value, "1"],
    ["points", $("count").value, "100000"],
    ["across", flow.columns[i], flow.columns[0]],
    ["up", flow.columns[j], flow.columns[second(flow)]],
    ["density", $("show-density").checked ? "shown" : "hidden", "shown"],
  ]
    .filter(([, value, usual]) => value !== usual)
    .map(([name, value]) => [name, value]);
}

/** Set the controls to choices, as `address.read` gives them; what is not named is as usual. */
export function choose(flow, { seed = "7", temperature = "1", points, across, up, density }) {
  $("seed").value = seed;
  $("seed-slider").value = seed;
  $("temperature").value = temperature;
  $("temperature-value").textContent = $("temperature").value;
  $("count").value = ["1000", "10000"].includes(points) ? points : "100000";
  $("show-density").checked = density !== "hidden";
  const [i, j] = [across, up].map((name) => flow.columns.indexOf(name));
  $("across").selectedIndex = Math.max(0, i);
  const free = i === second(flow) ? 0 : second(flow);
  $("up").selectedIndex = j < 0 || j === $("across").selectedIndex ? free : j;
  before = axes();
  showDensity(flow);
}

/** The columns across and up are never the same: the one that was not changed gives way. */
export function keepApart(flow) {
  const [i, j] = axes();
  if (i === j && flow.dim > 1) {
    if (i === before[0]) $("across").selectedIndex = before[1];
    else $("up").selectedIndex = before[0];
  }
  before = axes();
}

/** Show the plot of log-density if it is wanted; one column has none beside its samples. */
export function showDensity(flow) {
  $("showing").hidden = flow.dim === 1;
  $("density").hidden = flow.dim === 1 || !$("show-density").checked;
}
