// Who I am here, and what everybody is called.

import { connection } from "./connection.js";
import { $, drawAvatar } from "./dom.js";
import { state } from "./state.js";

export function showMe(/** @type {string} */ name) {
  state.name = name;
  $("me-name").textContent = name;
  $("me").setAttribute("aria-label", `You are ${name}. Change your name`);
  drawAvatar($("me-avatar"), name, state.key);
}

/** Somebody, maybe I, is called otherwise from now on. */
export function renamePerson({ key, name }) {
  if (key === state.key) showMe(name);
  for (const view of state.cards.values()) if (view.card.person_key === key) view.update({ ...view.card, person: name });
}

export function askName() {
  $("rename-field").value = state.name;
  $("rename-wrong").textContent = "";
  $("rename").showModal();
  $("rename-field").select();
}

export async function saveName(event) {
  event.preventDefault();
  try {
    const { name } = await connection.request({ name: $("rename-field").value });
    showMe(name);
    $("rename").close();
  } catch (error) {
    $("rename-wrong").textContent = error.message;
  }
}
