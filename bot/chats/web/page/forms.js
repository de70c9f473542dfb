// Forms, made from the definitions of commands.

import { fileField } from "./files.js";
import { $, counted, el, icon } from "./parts.js";
import { picturesField } from "./pictures.js";

/** @typedef {import("./app.js").Parameter} Parameter */
/** @typedef {import("./app.js").Command} Command */

const NOTHING = '""'; // an empty text that is meant, as the server reads forms

/** The tray of the form that is open, for pictures that are dropped or pasted anywhere. @type {import("./pictures.js").Tray|null} */
let openTray = null;

export function trayOfForm() {
  return $("form").open ? openTray : null;
}

/** Show the form; `send` gets the values by name, and what it says otherwise than nothing is shown as wrong. */
export function showForm(/** @type {Command} */ command, /** @type {Record<string, string>} */ values, send) {
  openTray = null;
  $("form-title").textContent = `/${command.name}`;
  $("form-about").textContent = command.help;
  $("form-wrong").textContent = "";
  $("form-send").textContent = command.submit;
  const compact = command.parameters.some((one) => one.type === "pictures");
  const made = (parameters) => parameters.map((one) => field(one, values[one.name], compact));
  const more = command.parameters.filter((one) => one.more);
  $("form").classList.toggle("large", compact);
  $("fields").replaceChildren(...made(command.parameters.filter((one) => !one.more)), ...(more.length ? [folded(more, values, made(more))] : []));
  $("form").querySelector("form").onsubmit = (event) => submit(event, command, send);
  $("form").showModal();
  $("fields").scrollTop = 0;
  $("fields").querySelector("input:not([type=hidden]), textarea, select")?.focus();
}

/** What few people change; unfolded where something of it was changed. */
function folded(/** @type {Parameter[]} */ more, values, fields) {
  const changed = more.filter(({ name, default: usual }) => values[name] && values[name] !== usual).length;
  const about = changed ? `${counted(changed, "change")} to ${counted(more.length, "setting")}` : `${counted(more.length, "setting")}, each as usual unless you change it`;
  const node = el("details", { class: "field wide more" }, el("summary", {}, icon("chevron"), el("b", {}, "More"), el("span", {}, about)), el("div", { class: "fields" }, ...fields));
  node.addEventListener("invalid", () => (node.open = true), true); // the browser has to show what is wrong
  return node;
}

async function submit(event, /** @type {Command} */ command, send) {
  event.preventDefault();
  if ($("fields").querySelector("[data-waiting=true]")) {
    $("form-wrong").textContent = "Something is still being sent: one moment.";
    return;
  }
  const values = {};
  for (const control of $("fields").querySelectorAll("[name]")) if (control.type !== "checkbox" || control.checked) values[control.name] = control.value;
  for (const { name, type, default: usual } of command.parameters) {
    if (type === "text" && usual && !values[name]) values[name] = NOTHING; // else the default would be taken
  }
  $("form-send").disabled = true;
  try {
    const wrong = await send(values);
    $("form-wrong").textContent = wrong;
    if (!wrong) $("form").close();
  } catch (error) {
    $("form-wrong").textContent = error.message;
  } finally {
    $("form-send").disabled = false;
  }
}

export function allowed(/** @type {Parameter} */ { low, high, type }) {
  if (low === null || type === "size" || type === "boolean") return "";
  return high === null ? `from ${low}` : `${low} to ${high}`;
}

function field(/** @type {Parameter} */ parameter, /** @type {string|undefined} */ given, /** @type {boolean} */ compact) {
  const id = `field-${parameter.name}`;
  const value = given === NOTHING ? "" : (given ?? parameter.default ?? "");
  if (parameter.type === "hidden") return hidden(parameter, value);
  if (parameter.type === "boolean") return checkbox(parameter, id, value);
  if (parameter.type === "lora_file") return fileField(parameter, id);
  if (parameter.type === "pictures") {
    const made = picturesField(parameter, id, value);
    openTray = made.tray;
    return made.field;
  }
  const told = el("small", { id: `${id}-help` }, parameter.help);
  const control = controlFor(parameter, id, value);
  const explained = Object.keys(parameter.about ?? {}).length > 0;
  if (explained) explain(control, parameter, told);
  const wide = parameter.spoken || explained || (["text", "loras"].includes(parameter.type) && !compact);
  return el(
    "div",
    { class: wide ? "field wide" : "field" },
    el("label", { for: id }, parameter.label, el("span", { class: "allowed" }, allowed(parameter))),
    control,
    told,
  );
}

function hidden(/** @type {Parameter} */ { name }, /** @type {string} */ value) {
  const carrier = el("input", { type: "hidden", name });
  carrier.value = value;
  return carrier;
}

function checkbox(/** @type {Parameter} */ { name, label, help }, id, value) {
  const box = el("input", { type: "checkbox", id, name, value: "true", "aria-describedby": `${id}-help` });
  box.checked = value === "true";
  return el("div", { class: "field wide check" }, box, el("label", { for: id }, help[0].toUpperCase() + help.slice(1)), el("small", { id: `${id}-help` }, label));
}

/** Each choice has a line of its own: the one that is chosen is read. */
function explain(select, /** @type {Parameter} */ { about, help }, told) {
  const say = () => (told.textContent = about[select.value] || help);
  select.addEventListener("change", say);
  say();
}

function controlFor(/** @type {Parameter} */ parameter, id, value) {
  const { type, choices, low, high, name, required, otherwise } = parameter;
  const common = { id, name, "aria-describedby": `${id}-help` };
  if (choices.length) {
    const select = el("select", common, required || value ? null : el("option", { value: "" }, otherwise || "as usual"), ...choices.map((one) => el("option", { value: one }, one)));
    select.value = value;
    return select;
  }
  if (type === "number" || type === "integer") {
    const step = type === "integer" ? 1 : (high - low) / 100 >= 0.1 ? 0.5 : 0.01;
    const number = el("input", { ...common, type: "number", min: low, max: high, step: type === "integer" ? 1 : "any", value, placeholder: otherwise, inputmode: "decimal" });
    if (high === null) number.type = "text"; // more digits than a browser's numbers hold
    if (value === "" || low === null || high === null || high - low > 1000) return number;
    const range = el("input", { type: "range", min: low, max: high, step, value, "aria-label": `${parameter.label}, slider` });
    range.addEventListener("input", () => (number.value = range.value));
    number.addEventListener("input", () => (range.value = number.value));
    return el("div", { class: "slide" }, range, number);
  }
  if (type === "size") return sizes(el("input", { ...common, value, placeholder: otherwise }), parameter.names);
  if (parameter.long) {
    const area = el("textarea", { ...common, rows: parameter.spoken ? 3 : 2, required, placeholder: otherwise, maxlength: 4000 });
    area.value = value;
    return area;
  }
  return el("input", { ...common, value, required, maxlength: 4000, placeholder: otherwise });
}

function sizes(input, names) {
  const presets = names.map((shape) => el("button", { type: "button", onclick: () => choose(shape) }, shape));
  const mark = () => presets.forEach((one) => one.setAttribute("aria-pressed", String(one.textContent === input.value)));
  const choose = (shape) => {
    input.value = shape;
    mark();
  };
  input.addEventListener("input", mark);
  mark();
  return el("div", {}, input, el("div", { class: "presets", style: { "margin-top": "8px" } }, ...presets));
}

