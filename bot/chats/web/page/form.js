// Forms, made from the definitions of commands.

import { rangeText } from "./commands.js";
import { $, el, icon } from "./dom.js";
import { fileField, isFile } from "./file_field.js";
import { plural } from "./format.js";
import { imageField, maskField } from "./image_field.js";
import { picturesField } from "./pictures_field.js";

/** @typedef {import("./state.js").Parameter} Parameter */
/** @typedef {import("./state.js").Command} Command */

const EMPTY_TEXT = '""'; // an empty text that is meant, as the server reads forms

/** What takes pictures that are dropped or pasted anywhere while the form is open. @type {{add: (files: File[]) => unknown}|null} */
let tray = null;

/** Opens the brush of a form that has a mask to draw. @type {(() => unknown)|null} */
let draw = null;

/** Draw over the form's picture, where the form is open and has a mask. */
export function drawMask() {
  if ($("form").open) draw?.();
}

/** What takes pictures in the form, if it is open and asks for some. */
export function openFormTray() {
  return $("form").open ? tray : null;
}

/** Show the form; `send` gets the values by name, and the text that it returns is shown as what is wrong. */
export function showForm(/** @type {Command} */ command, /** @type {Record<string, string>} */ values, send) {
  tray = draw = null;
  $("form-title").textContent = `/${command.name}`;
  $("form-about").textContent = command.help;
  $("form-wrong").textContent = "";
  $("form-send").textContent = command.submit;
  const compact = command.parameters.some((parameter) => parameter.type === "pictures");
  const newFields = (parameters) => parameters.map((parameter) => newField(command, parameter, values[parameter.name], compact));
  const first = command.parameters.filter((parameter) => !parameter.more);
  const more = command.parameters.filter((parameter) => parameter.more);
  $("form").classList.toggle("large", compact);
  $("fields").replaceChildren(...newFields(first), ...(more.length ? [newFold(more, values, newFields(more))] : []));
  $("form").querySelector("form").onsubmit = (event) => submit(event, command, send);
  $("form").showModal();
  $("fields").scrollTop = 0;
  $("fields").querySelector("input:not([type=hidden]), textarea, select")?.focus();
}

/** Show of the form nothing but the pictures with their captions, or all of it. */
export function showCaptionsOnly(/** @type {boolean} */ only) {
  $("form").classList.toggle("captions-only", only);
  if (!only) return;
  $("form-title").textContent = "Captions";
  $("form-about").textContent = "What is in each picture. Those left empty get the usual words.";
  $("fields").querySelector(".caption")?.focus();
}

/** What few people change; unfolded where something is wrong in it. */
function newFold(/** @type {Parameter[]} */ parameters, values, fields) {
  const changes = parameters.filter(({ name, default: usual }) => values[name] && values[name] !== usual).length;
  const settings = plural(parameters.length, "setting");
  const about = changes ? `${changes} of ${settings} changed` : `${settings}, all optional`;
  const node = el("details", { class: "field wide more" }, el("summary", {}, icon("chevron"), el("b", {}, "More"), el("span", {}, about)), el("div", { class: "fields" }, ...fields));
  node.addEventListener("invalid", () => (node.open = true), true); // the browser has to show what is wrong
  return node;
}

/** What stands in the form, by name. */
function formValues(/** @type {Command} */ command) {
  const values = {};
  for (const control of $("fields").querySelectorAll("[name]")) if (control.type !== "checkbox" || control.checked) values[control.name] = control.value;
  for (const { name, type, default: usual } of command.parameters) {
    if (type === "text" && usual && !values[name]) values[name] = EMPTY_TEXT; // else the default would be taken
  }
  return values;
}

async function submit(event, /** @type {Command} */ command, send) {
  event.preventDefault();
  if ($("fields").querySelector("[data-waiting=true]")) {
    $("form-wrong").textContent = "A file is still being sent. Wait a moment.";
    return;
  }
  $("form-send").disabled = true;
  try {
    const wrong = await send(formValues(command));
    $("form-wrong").textContent = wrong;
    if (!wrong) $("form").close();
  } catch (error) {
    $("form-wrong").textContent = error.message;
  } finally {
    $("form-send").disabled = false;
  }
}

function newField(/** @type {Command} */ command, /** @type {Parameter} */ parameter, /** @type {string|undefined} */ given, /** @type {boolean} */ compact) {
  const id = `field-${parameter.name}`;
  const value = given === EMPTY_TEXT ? "" : (given ?? parameter.default ?? "");
  if (parameter.type === "hidden") return hiddenField(parameter, value);
  if (parameter.type === "boolean") return checkbox(parameter, id, value);
  if (isMask(command, parameter)) {
    const mask = maskField(parameter, id, value, neighbours(command));
    draw = mask.draw;
    return mask.field;
  }
  if (isFile(parameter.type)) {
    const file = fileField(parameter, id, value);
    if (parameter.type === "picture") tray ??= file;
    return file.field;
  }
  if (parameter.type === "image") {
    const image = imageField(parameter, id, value);
    tray ??= image;
    return image.field;
  }
  if (parameter.type === "pictures") {
    const pictures = picturesField(parameter, id, value);
    tray = pictures.tray;
    return pictures.field;
  }
  const help = el("small", { id: `${id}-help` }, parameter.help);
  const control = newControl(parameter, id, value);
  const explained = Object.keys(parameter.about ?? {}).length > 0;
  if (explained) explainChoice(control.querySelector("select") ?? control, parameter, help);
  const wide = parameter.spoken || explained || (["text", "loras"].includes(parameter.type) && !compact);
  return el(
    "div",
    { class: wide ? "field wide" : "field" },
    el("label", { for: id }, parameter.label, el("span", { class: "allowed" }, rangeText(parameter))),
    control,
    help,
  );
}

/** Whether it is drawn over the picture that the same form asks for. */
function isMask(/** @type {Command} */ { parameters }, /** @type {Parameter} */ { name, type }) {
  return type === "picture" && name === "mask" && parameters.some((other) => other.type === "image");
}

/** What a mask has to do with in its form: the picture, the words, and how the form is sent. */
function neighbours(/** @type {Command} */ { parameters, submit }) {
  const control = (/** @type {Parameter} */ { name }) => $("fields").querySelector(`[name="${name}"]`);
  const words = parameters.find(({ spoken }) => spoken);
  return {
    image: () => control(parameters.find(({ type }) => type === "image")),
    words: () => control(words),
    wanted: words.help,
    submit,
    send: () => $("form").querySelector("form").requestSubmit(),
  };
}

function hiddenField(/** @type {Parameter} */ { name }, /** @type {string} */ value) {
  const input = el("input", { type: "hidden", name });
  input.value = value;
  return input;
}

function checkbox(/** @type {Parameter} */ { name, label, help }, id, value) {
  const box = el("input", { type: "checkbox", id, name, value: "true", "aria-describedby": `${id}-help` });
  box.checked = value === "true";
  return el("div", { class: "field wide check" }, box, el("label", { for: id }, help), el("small", { id: `${id}-help` }, label));
}

/** Each choice has a line of its own: that of the chosen one is shown. */
function explainChoice(select, /** @type {Parameter} */ { about, help }, line) {
  const show = () => (line.textContent = about[select.value] || help);
  select.addEventListener("change", show);
  show();
}

function newControl(/** @type {Parameter} */ parameter, id, value) {
  const { type, choices, names, name, required, otherwise, spoken, long } = parameter;
  const common = { id, name, "aria-describedby": `${id}-help` };
  if (choices.length) return choiceControl(parameter, common, value);
  if (type === "number" || type === "integer") return numberControl(parameter, common, value);
  if (type === "size") return sizeControl(el("input", { ...common, value, placeholder: otherwise }), names);
  if (long) {
    const area = el("textarea", { ...common, rows: spoken ? 3 : 2, required, placeholder: otherwise, maxlength: 4000 });
    area.value = value;
    return area;
  }
  return el("input", { ...common, value, required, maxlength: 4000, placeholder: otherwise });
}

function choiceControl(/** @type {Parameter} */ { choices, required, otherwise }, common, value) {
  const usual = required || value ? null : el("option", { value: "" }, otherwise || "Default");
  const select = el("select", common, usual, ...choices.map((choice) => el("option", { value: choice }, choice)));
  select.value = value;
  return el("div", { class: "select" }, select, icon("chevron"));
}

/** A number; a slider beside it where it has a value and close bounds. */
function numberControl(/** @type {Parameter} */ { type, low, high, label, otherwise }, common, value) {
  const whole = type === "integer";
  const number = el("input", { ...common, type: "number", min: low, max: high, step: whole ? 1 : "any", value, placeholder: otherwise, inputmode: "decimal" });
  if (high === null) number.type = "text"; // more digits than a browser's numbers hold
  if (value === "" || low === null || high === null || high - low > 1000) return number;
  const step = whole ? 1 : (high - low) / 100 >= 0.1 ? 0.5 : 0.01;
  const slider = el("input", { type: "range", min: low, max: high, step, value, "aria-label": `${label}, slider` });
  slider.addEventListener("input", () => (number.value = slider.value));
  number.addEventListener("input", () => (slider.value = number.value));
  return el("div", { class: "slide" }, slider, number);
}

function sizeControl(input, /** @type {string[]} */ names) {
  const presets = names.map((shape) => el("button", { type: "button", onclick: () => choose(shape) }, shape));
  const mark = () => presets.forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === input.value)));
  const choose = (shape) => {
    input.value = shape;
    mark();
  };
  input.addEventListener("input", mark);
  mark();
  return el("div", {}, input, el("div", { class: "presets", style: { "margin-top": "8px" } }, ...presets));
}
