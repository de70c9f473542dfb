// The definitions of commands, read from the bot; and the token, where it asks for one first.

import { $ } from "./dom.js";
import { state } from "./state.js";

/** @typedef {import("./state.js").Command} Command */
/** @typedef {import("./state.js").Parameter} Parameter */

/** Read the definitions, which hold my own defaults; a new browser gets a cookie with them. */
export async function loadCommands() {
  const response = await fetch("/commands.json", { cache: "no-store" });
  if (response.status === 401) return askToken().then(loadCommands);
  if (!response.ok) throw new Error(await response.text());
  const { commands } = await response.json();
  state.commands = new Map(commands.map((command) => [command.name, command]));
}

async function askToken() {
  const dialog = $("token");
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.querySelector("form").onsubmit = async (event) => {
      event.preventDefault();
      const answer = await fetch("/token", { method: "POST", body: $("token-field").value });
      $("token-wrong").textContent = answer.ok ? "" : answer.status === 429 ? "There were too many wrong tokens. Wait 10 s." : "That is not the token.";
      if (!answer.ok) return;
      dialog.close();
      resolve(undefined);
    };
    dialog.oncancel = (event) => event.preventDefault();
  });
}

/** The name of the command that a line begins with, which may have two words. */
export function commandName(/** @type {string} */ line) {
  const [, first = "", second = ""] = /^\/(\S+)(?:\s+([a-z]+)(?!\S))?/i.exec(line) ?? [];
  const both = `${first} ${second}`.toLowerCase();
  return state.commands.has(both) ? both : first.toLowerCase();
}

/** The parameters that have a flag. */
export function optionsOf(/** @type {Command} */ command) {
  return command.parameters.filter((parameter) => parameter.flags.length);
}

/** The parameter that is said without a flag, if there is one. */
export function positionalOf(/** @type {Command|undefined} */ command) {
  return command?.parameters.find((parameter) => !parameter.flags.length);
}

/** "1 to 100", where a number has bounds. */
export function rangeText(/** @type {Parameter} */ { low, high, type }) {
  if (low === null || type === "size" || type === "boolean") return "";
  return high === null ? `${low} or more` : `${low} to ${high}`;
}
