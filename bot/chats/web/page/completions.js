// Completions of the message: commands, options, and their values, where the caret stands.

import { commandName, optionsOf, positionalOf, rangeText } from "./commands.js";
import { $, el, fitHeight } from "./dom.js";
import { findLoras } from "./loras.js";
import { state } from "./state.js";

/** @typedef {import("./state.js").Command} Command */
/** @typedef {import("./state.js").Parameter} Parameter */
/** @typedef {{kind: "command"|"option"|"value"|"tag", typed: string, start: number, command?: Command,
 *   parameter?: Parameter, used?: Set<string>}} Place */
/** @typedef {{insert: string, name: string, about: string, range: string}} Item */

const SEVERAL_WORDS = ["text", "loras", "choice", "size"]; // types whose value may have some: "DPM++ 2M Karras"

/** Words and quotations with where they begin. */
function splitWords(/** @type {string} */ text) {
  return [...text.matchAll(/"[^"]*"?|\S+/g)].map((match) => ({ text: match[0], start: match.index }));
}

/** What stands at the caret, at the end of this text: null where nothing can be completed. @returns {Place|null} */
function placeAtCaret(/** @type {string} */ text) {
  if (namesCommand(text)) return { kind: "command", typed: text.slice(1), start: 0 };
  const command = state.commands.get(commandName(text));
  if (!command) return null;
  const tag = /<lora:([^<>:]*)$/i.exec(text);
  const loras = command.parameters.find((parameter) => parameter.type === "loras");
  if (tag && loras) return { kind: "tag", typed: tag[1], start: text.length - tag[1].length, command, parameter: loras };
  const words = splitWords(text).slice(command.name.split(" ").length);
  const spaced = /\s$/.test(text) && !(words.at(-1)?.text ?? "").match(/^"[^"]*$/);
  const last = spaced || !words.length ? { text: "", start: text.length } : words.pop();
  return optionPlace(text, command, words, last);
}

/** Whether a command's name is being typed, its first word or its second. */
function namesCommand(/** @type {string} */ text) {
  if (/^\/\S*$/.test(text)) return true;
  const typed = text.slice(1).toLowerCase();
  const continues = [...state.commands.keys()].some((name) => name.includes(" ") && name.startsWith(typed));
  return /^\/\S+ [a-z]*$/i.test(text) && continues && !state.commands.has(typed.trim());
}

/** The option or value at the caret: `last` is the word there, `words` are those before it. @returns {Place} */
function optionPlace(/** @type {string} */ text, /** @type {Command} */ command, words, last) {
  const byFlag = new Map(optionsOf(command).flatMap((parameter) => parameter.flags.map((flag) => [flag, parameter])));
  const flagAt = words.findLastIndex((word) => byFlag.has(word.text));
  const parameter = byFlag.get(words[flagAt]?.text);
  const isFlag = last.text.startsWith("--");
  if (parameter && !isFlag && (flagAt === words.length - 1 || SEVERAL_WORDS.includes(parameter.type))) {
    const start = (words[flagAt + 1] ?? last).start; // names and lists go on over spaces
    return { kind: "value", typed: text.slice(start).replace(/^"/, ""), start, command, parameter };
  }
  const [flag, value] = isFlag ? last.text.split(/=(.*)/s) : [];
  if (isFlag && value === undefined) {
    const used = new Set(words.map((word) => byFlag.get(word.text)?.name).filter(Boolean));
    return { kind: "option", typed: last.text, start: last.start, command, used };
  }
  if (isFlag && byFlag.has(flag)) {
    return { kind: "value", typed: value.replace(/^"/, ""), start: last.start + flag.length + 1, command, parameter: byFlag.get(flag) };
  }
  const positional = positionalOf(command);
  const named = positional?.type === "lora" && words.length; // a name is one word
  return { kind: "value", typed: last.text, start: last.start, command, parameter: named ? undefined : positional };
}

/** What could stand there, best first. @returns {Promise<Item[]>} */
async function itemsFor(/** @type {Place} */ place) {
  const typed = place.typed.toLowerCase();
  const matches = (name) => name.toLowerCase().startsWith(typed);
  if (place.kind === "command") {
    const commands = [...state.commands.values()].filter(({ name }) => matches(name));
    return commands.map(({ name, help }) => ({ insert: `/${name} `, name: `/${name}`, about: help, range: "" }));
  }
  if (place.kind === "option") {
    return optionsOf(place.command).flatMap((parameter) => {
      const flag = parameter.repeated || !place.used.has(parameter.name) ? parameter.flags.find((name) => name.startsWith(typed)) : null;
      return flag ? [{ insert: `${flag} `, name: flag, about: parameter.help, range: valueHint(parameter) }] : [];
    });
  }
  if (!place.parameter) return [];
  if (place.parameter.type === "loras") return loraItems(place, ":", "weight -2 to 2");
  if (place.parameter.type === "lora") return loraItems(place, " ", "");
  const values = [...place.parameter.choices, ...place.parameter.names].filter(matches);
  return values.map((name) => ({ insert: `${name.includes(" ") ? `"${name}"` : name} `, name, about: "", range: "" }));
}

/** LoRAs whose name goes on like the last one of a list; `end` follows the name. @returns {Promise<Item[]>} */
async function loraItems(/** @type {Place} */ place, /** @type {string} */ end, /** @type {string} */ range) {
  const [, before, like] = /^(.*[,\s])?([^,\s]*)$/s.exec(place.typed) ?? [];
  if (like.includes(":")) return [];
  const loras = await findLoras(state.channel, like.trim());
  return loras.map(({ name, phrase }) => ({ insert: `${before ?? ""}${name}${end}`, name, about: phrase || "LoRA", range }));
}

function valueHint(/** @type {Parameter} */ parameter) {
  const usual = parameter.default || parameter.otherwise;
  return [rangeText(parameter), usual ? `default: ${usual}` : ""].filter(Boolean).join(" · ");
}

export const completions = {
  /** @type {Item[]} */ items: [],
  /** @type {Place|null} */ place: null,
  active: 0,
  turn: 0, // counts up, so that an answer that comes late is thrown away

  get open() {
    return this.items.length > 0;
  },

  /** Whether what is typed is already all of the active item. */
  get complete() {
    const name = this.items[this.active].name.toLowerCase();
    const typed = this.place.typed.toLowerCase();
    return name === typed || name === `/${typed}`;
  },

  async update() {
    const field = $("message");
    const turn = ++this.turn;
    const place = field.selectionStart === field.selectionEnd ? placeAtCaret(field.value.slice(0, field.selectionStart)) : null;
    showHint(place);
    const items = place ? await itemsFor(place).catch(() => []) : [];
    if (turn !== this.turn) return;
    Object.assign(this, { place, items, active: 0 });
    this.draw();
  },

  draw() {
    const list = $("completions");
    list.replaceChildren(...this.items.map((item, index) => this.optionNode(item, index)));
    list.hidden = !this.open;
    $("message").setAttribute("aria-expanded", String(this.open));
    if (this.open) $("message").setAttribute("aria-activedescendant", `option-${this.active}`);
    else $("message").removeAttribute("aria-activedescendant");
    list.children[this.active]?.scrollIntoView({ block: "nearest" });
  },

  optionNode(/** @type {Item} */ item, /** @type {number} */ index) {
    const accept = (event) => {
      event.preventDefault();
      this.active = index;
      this.accept();
    };
    return el(
      "div",
      { class: "option", role: "option", id: `option-${index}`, "aria-selected": String(index === this.active), onpointerdown: accept },
      el("b", {}, item.name),
      el("span", { class: "about" }, item.about),
      item.range ? el("span", { class: "range" }, item.range) : null,
    );
  },

  move(/** @type {number} */ step) {
    this.active = (this.active + step + this.items.length) % this.items.length;
    this.draw();
  },

  /** Put the active item into the message. */
  accept() {
    const field = $("message");
    const rest = field.value.slice(field.selectionStart);
    const before = field.value.slice(0, this.place.start) + this.items[this.active].insert;
    field.value = before + rest.replace(/^\s+/, "");
    field.setSelectionRange(before.length, before.length);
    fitHeight(field);
    this.update();
  },

  close() {
    this.turn += 1;
    this.items = [];
    this.draw();
    showHint(null);
  },
};

/** The line under the message: about what is being typed, or about the keys. */
export function showHint(/** @type {Place|null} */ place) {
  const parameter = place?.kind === "option" ? null : place?.parameter;
  const hint = $("hint");
  hint.classList.toggle("usual", !place?.command);
  if (parameter?.flags.length) {
    hint.replaceChildren(el("b", {}, parameter.flags[0]), ` ${[parameter.help, valueHint(parameter)].filter(Boolean).join(" · ")}`);
  } else if (place?.command) {
    const flags = optionsOf(place.command).map((option) => option.flags[0]).join(" ");
    hint.replaceChildren(el("b", {}, `/${place.command.name}`), ` ${positionalOf(place.command)?.name ?? ""} ${flags}`);
  } else {
    hint.replaceChildren(el("b", {}, "/"), " for commands · ", el("b", {}, "Enter"), " to send · ", el("b", {}, "Shift+Enter"), " for a new line");
  }
}
