// The message: what stands in its field, its keys, and what was sent before.

import { completions } from "./completions.js";
import { $, fitHeight } from "./dom.js";
import { memory } from "./state.js";
import { showView } from "./views.js";

const LONGEST_HISTORY = 50;

const history = { list: memory.get("sent", []), at: null, draft: "" };

export function setMessage(/** @type {string} */ text) {
  const field = $("message");
  field.value = text;
  field.setSelectionRange(text.length, text.length);
  fitHeight(field);
  completions.close();
}

/** A message to be looked at and sent. */
export function suggestMessage(/** @type {string} */ text) {
  showView("chat");
  setMessage(text);
  $("message").focus();
}

export function remember(/** @type {string} */ text) {
  history.list = [...history.list.filter((message) => message !== text), text].slice(-LONGEST_HISTORY);
  history.at = null;
  memory.set("sent", history.list);
}

/** Bring back what was sent before, or after that. */
function recall(/** @type {number} */ step) {
  const at = (history.at ?? history.list.length) + step;
  if (at < 0 || at > history.list.length || !history.list.length) return;
  if (history.at === null) history.draft = $("message").value;
  history.at = at === history.list.length ? null : at;
  setMessage(history.at === null ? history.draft : history.list[at]);
}

export function onMessageInput() {
  history.at = null;
  fitHeight($("message"));
  completions.update();
}

export function onMessageKey(/** @type {KeyboardEvent} */ event) {
  if (event.isComposing) return;
  const { key } = event;
  const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
  if (completions.open && plain && (key === "ArrowDown" || key === "ArrowUp")) completions.move(key === "ArrowDown" ? 1 : -1);
  else if (completions.open && plain && key === "Tab") completions.accept();
  else if (completions.open && plain && key === "Enter" && !completions.complete) completions.accept();
  else if (completions.open && key === "Escape") completions.close();
  else if (key === "Enter" && plain) $("composer").requestSubmit();
  else if (key === "ArrowUp" && plain && (!$("message").value || history.at !== null)) recall(-1);
  else if (key === "ArrowDown" && plain && history.at !== null) recall(1);
  else return;
  event.preventDefault();
}
