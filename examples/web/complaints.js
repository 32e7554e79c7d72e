/** What failed and why; each is told until it succeeds, beside its field or above the page. */
import { FieldError, mark } from "./fields.js";

const complaints = new Map(); // what failed -> its error

/** Tell that `failed` failed with `error`. */
export function complain(error, failed) {
  complaints.set(failed, error);
  tell();
}

/** Tell no more that `failed` failed. */
export function forgive(failed) {
  complaints.delete(failed);
  tell();
}

/** Tell nothing of what failed so far. */
export const forgiveAll = () => complaints.clear();

/** Tell it again: the fields are others. */
export function tell() {
  const errors = [...complaints.values()];
  const wrong = new Map(errors.filter((e) => e instanceof FieldError).map((e) => [e.field, e]));
  for (const { id } of document.querySelectorAll("#seed, #context input[type=number]")) {
    mark(id, wrong.get(id)?.message);
  }
  const others = errors.filter((error) => !(error instanceof FieldError));
  const text = [...new Set(others.map((error) => error?.message ?? `${error}`))].join(" · ");
  const alert = document.getElementById("alert");
  if (alert.textContent !== text) alert.textContent = text;
  alert.hidden = !text;
}
