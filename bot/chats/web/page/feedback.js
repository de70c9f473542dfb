// Feedback: announcements for screen readers, toasts, presses that must be confirmed, and copied text.

import { $, el, iconButton } from "./dom.js";

const TOAST_MS = 3000;
const CONFIRM_MS = 4000; // within which the second press must come

/** Say something to those who hear the page. */
export function announce(/** @type {string} */ text) {
  $("announcer").textContent = text;
}

let toastTimer = 0;

/** Show a sentence for a moment, above every dialog. */
export function showToast(/** @type {string} */ text) {
  announce(text);
  $("toast").textContent = text;
  $("toast").hidePopover();
  $("toast").showPopover();
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").hidePopover(), TOAST_MS);
}

/** Whether this press confirms the one before; a first press asks. For what cannot be undone. */
export function confirmPress(button, question = "Press again to delete") {
  if (button.dataset.confirming) return true;
  const content = [...button.childNodes];
  button.dataset.confirming = "1";
  button.replaceChildren(question);
  announce(question);
  setTimeout(() => {
    delete button.dataset.confirming;
    button.replaceChildren(...content);
  }, CONFIRM_MS);
  return false;
}

export async function copyText(/** @type {string} */ text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = el("textarea", { class: "hidden" });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  showToast("Copied.");
}

/** A command to copy, with buttons for what else can be done with it. */
export function commandBox(/** @type {string} */ command, ...buttons) {
  return el("div", { class: "command" }, el("code", {}, command), ...buttons, iconButton("copy", "Copy the command", () => copyText(command)));
}
