/**
 * What is shown, in the page's address after the #, so that a view can be shared:
 * `#seed=8&temperature=0.8&points=10000&across=x&up=y&given.energy=120`. What has its usual value is
 * left out.
 */
const GIVEN = "given.";
const PAUSE = 300; // ms: browsers refuse many changes of the address within a second

let waiting;

/** The choices in the address: {seed, temperature, points, across, up, given: Map}. */
export function read() {
  const found = new URLSearchParams(location.hash.slice(1));
  const given = new Map(
    [...found].filter(([key]) => key.startsWith(GIVEN)).map(([k, v]) => [k.slice(GIVEN.length), v]),
  );
  return { ...Object.fromEntries(found), given };
}

/** Put choices into the address, soon. `choices` as pairs; `given` the conditions, as pairs. */
export function write(choices, given) {
  clearTimeout(waiting);
  waiting = setTimeout(() => writeNow(choices, given), PAUSE);
}

/** Put choices into the address; the address. */
export function writeNow(choices, given) {
  clearTimeout(waiting);
  const pairs = [...choices, ...given.map(([name, value]) => [GIVEN + name, value])];
  const hash = new URLSearchParams(pairs).toString();
  const address = location.pathname + location.search + (hash && `#${hash}`);
  history.replaceState(null, "", address);
  return location.href;
}
