/** The fields of the conditions: sliders over the trained range, and what is wrong beside each. */
import { InputError } from "./rnvp-runtime/src/index.js";
import { label } from "./plot.js";

const STEPS = 200; // of a slider

/** What a person typed is not usable; `field` is the id of the input. */
export class FieldError extends InputError {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/** Put `message` beside a field, or nothing. */
export function mark(field, message = "") {
  const input = document.getElementById(field);
  input.setAttribute("aria-invalid", Boolean(message));
  const place = document.getElementById(`${field}-error`);
  if (place.textContent !== message) place.textContent = message;
}

/** The field `#seed` as a whole number. Throws a FieldError. */
export function seed() {
  const text = document.getElementById("seed").value.trim();
  if (/^-?\d+$/.test(text)) return BigInt(text);
  throw new FieldError("seed", `seed is ${text || "empty"}, expected a whole number such as 7`);
}

/** The conditions of one flow. */
export class ContextFields {
  #columns;

  /** `names` of the conditions; `reference` of each: {low, median, high}, [] if not known. */
  constructor(names, reference) {
    this.#columns = names.map((name, i) => ({ name, id: `context-${i}`, known: reference[i] }));
  }

  /** The elements: a label, a number and, where the trained range is known, a slider. */
  elements() {
    return this.#columns.map((column) => this.#field(column));
  }

  /** The first values: the trained medians, 0 where they are not known. */
  first() {
    return this.#columns.map((column) => Number(start(column)));
  }

  /** The numbers. Throws a FieldError for a field that holds none. */
  values() {
    return this.#columns.map(({ name, id, known }) => {
      const input = document.getElementById(id);
      if (input.value.trim() && Number.isFinite(input.valueAsNumber)) return input.valueAsNumber;
      const such = known ? ` such as ${rounded(known.median, known)}` : "";
      throw new FieldError(id, `${name} is empty, expected a number${such}`);
    });
  }

  /** Set numbers by name; those of other names get their first values. */
  set(values) {
    for (const column of this.#columns) {
      document.getElementById(column.id).value = values.get(column.name) ?? start(column);
      this.#follow(column.id);
    }
  }

  /** The numbers by name as they are typed, without those that have their first value. */
  changed() {
    return this.#columns
      .map((column) => [column.name, document.getElementById(column.id).value, start(column)])
      .filter(([, value, first]) => value !== first)
      .map(([name, value]) => [name, value]);
  }

  /** Say beside a field that its value was not trained on. */
  warn() {
    for (const { id, known } of this.#columns) {
      const value = document.getElementById(id).valueAsNumber;
      const outside = known && (value < known.low || value > known.high);
      document.getElementById(`${id}-note`).textContent = outside
        ? `outside the trained range, ${label(known.low)} to ${label(known.high)}`
        : "";
    }
  }

  /** "energy 93.8, theta 0.474" for such values. */
  inWords(values) {
    return this.#columns.map(({ name }, i) => `${name} ${label(values[i])}`).join(", ");
  }

  #field(column) {
    const { name, id, known } = column;
    const field = element("div", { className: "field given" });
    const error = element("p", { id: `${id}-error`, className: "error" });
    error.setAttribute("role", "alert");
    const note = element("p", { id: `${id}-note`, className: "note" });
    const input = element("input", { id, type: "number", step: "any", value: start(column) });
    input.setAttribute("aria-describedby", `${error.id} ${note.id}`);
    field.append(element("label", { htmlFor: id, textContent: name }), input);
    if (known && known.high > known.low) {
      const slider = element("input", { id: `${id}-slider`, type: "range", step: "any" });
      Object.assign(slider, { min: known.low, max: known.high });
      slider.step = (known.high - known.low) / STEPS;
      slider.value = known.median;
      slider.setAttribute("aria-label", `${name}, over its trained range`);
      slider.addEventListener("input", () => (input.value = rounded(slider.valueAsNumber, known)));
      input.addEventListener("input", () => this.#follow(id));
      const ends = element("span", { className: "ends" });
      ends.append(...[known.low, known.high].map((v) => element("span", { textContent: label(v) })));
      field.append(slider, ends);
    } else if (!known) {
      note.textContent = "This bundle does not hold the trained range.";
    }
    field.append(error, note);
    return field;
  }

  #follow(id) {
    const [input, slider] = [id, `${id}-slider`].map((each) => document.getElementById(each));
    if (slider && Number.isFinite(input.valueAsNumber)) slider.value = input.value;
  }
}

/** The first value of a field: the trained median, 0 only where it is not known. */
const start = ({ known }) => (known ? rounded(known.median, known) : "0");

/** A number with as many decimals as a step of its slider needs. */
function rounded(value, { low, high }) {
  const step = (high - low || Math.abs(low) || 1) / STEPS;
  const decimals = Math.min(12, Math.max(0, Math.ceil(-Math.log10(step))));
  return `${Number(value.toFixed(decimals))}`;
}

export const element = (tag, properties) =>
  Object.assign(document.createElement(tag), properties);
