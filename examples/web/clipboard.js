/** Copying: with the browser's clipboard, or the older way where a page has none (plain http). */

/** Copy `text`, and say on `button` that it is done. */
export async function copy(text, button) {
  const before = button.dataset.words ?? button.textContent;
  button.dataset.words = before;
  const done = await (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(
    () => true,
    () => copyBySelection(text),
  );
  button.textContent = done ? "Copied" : "Not allowed here";
  setTimeout(() => (button.textContent = before), 1500);
}

function copyBySelection(text) {
  const area = Object.assign(document.createElement("textarea"), { value: text });
  area.className = "out-of-sight";
  document.body.append(area);
  area.select();
  try {
    return document.execCommand("copy");
  } finally {
    area.remove();
  }
}
