// The inside of a training's card: the report on its pictures, how far it is, its curve, and what its checkpoints paint.

import { drawCurve, loss } from "./curve.js";
import { copyable, counted, el, icon, once } from "./parts.js";

/** @typedef {{url: string, thumb: string}} Sample */
/** @typedef {{place: number, step: number, validation: number|null, chosen: boolean, samples: Sample[]}} Checkpoint */
/** @typedef {{name: string, text: string, used: boolean}} Note */
/** @typedef {{notes: Note[], problems: string[], sheet: string|null, curve: import("./curve.js").Curve|null,
 *   prompts: string[], checkpoints: Checkpoint[], untrained: Sample[], line_to_copy: string}} Training */
/** @typedef {import("./app.js").Card & Training} TrainingCard */

const NEWEST = 3; // checkpoints in sight while it runs
const WORDS = { start: "Start", edit: "Change", delete: "Delete", finish: "Stop and keep", stop: "Cancel", choose: "Use this one" };
const SURE = { delete: "Press again to delete", stop: "Press again to cancel" };

/** What a training's button says beside its emoji. */
export function wordOf(/** @type {import("./app.js").Action} */ { id }, /** @type {string} */ state) {
  const name = id.split(":")[0];
  if (name === "delete" && state === "draft") return "Forget";
  if (name === "edit" && state !== "draft") return "Train again, changed";
  return WORDS[name] ?? "";
}

/** What a button asks before it does what cannot be undone; empty where it just does it. */
export function sureOf(/** @type {import("./app.js").Action} */ { id }, /** @type {import("./app.js").Card} */ { kind, state }) {
  const name = id.split(":")[0];
  if (name === "stop" && (kind !== "train" || state !== "running")) return "";
  return SURE[name] ?? "";
}

/** `hands`: button(action) makes one, look(list, at) opens pictures large, say(words) puts them into the message. */
export class TrainingView {
  constructor(hands) {
    this.hands = hands;
    this.all = false; // all checkpoints are wanted in sight
    this.bar = el("div", { class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, el("div"));
    this.line = el("div", { class: "line-to-copy", hidden: true });
    this.report = el("div", { class: "report" });
    this.curve = el("div");
    this.samples = el("div");
    this.node = el("div", { class: "training" }, this.bar, this.line, this.curve, this.samples, this.report);
  }

  update(/** @type {TrainingCard} */ card) {
    this.card = card;
    this.#progress();
    once(this, "line", card.line_to_copy, () => this.#showLine());
    once(this, "curve", card.curve, () => this.#showCurve());
    once(this, "samples", [card.prompts, card.checkpoints, card.untrained, card.curve?.best, card.buttons], () => this.#showSamples());
    once(this, "report", [card.state === "draft", card.sheet, card.notes, card.problems], () => this.#showReport());
  }

  #progress() {
    const { state, done, line, title, sheet } = this.card;
    const looking = state === "draft" && !sheet;
    this.bar.hidden = state !== "running" && !looking;
    this.bar.classList.toggle("endless", looking || (state === "running" && !done));
    this.bar.setAttribute("aria-label", looking ? "Looking at the pictures" : `Training ${title}`);
    this.bar.setAttribute("aria-valuetext", line);
    if (looking) this.bar.removeAttribute("aria-valuenow");
    else this.bar.setAttribute("aria-valuenow", String(Math.round((done ?? 0) * 100)));
    this.bar.firstElementChild.style.width = looking || !done ? "" : `${done * 100}%`;
  }

  #showLine() {
    const words = this.card.line_to_copy;
    this.line.hidden = !words;
    const use = el("button", { class: "plain", type: "button", onclick: () => this.hands.say(words) }, "Try it");
    this.line.replaceChildren(el("p", { class: "part" }, "Paint with it"), copyable(words, "Copy the line", use));
  }

  #showCurve() {
    const drawn = this.card.curve && drawCurve(this.card.curve);
    this.curve.replaceChildren(...(drawn ? [drawn] : []));
    this.curve.hidden = !drawn;
  }

  #showSamples() {
    const { prompts, checkpoints, untrained } = this.card;
    const painted = checkpoints.filter((one) => one.samples.length);
    const chosen = painted.filter((one) => one.place);
    const few = chosen.length ? chosen : painted.slice(-NEWEST);
    const rows = this.all ? painted : few;
    this.samples.hidden = !rows.length && !untrained.length;
    this.looked = [];
    const columns = Math.max(prompts.length, untrained.length, ...rows.map((one) => one.samples.length), 1);
    const more = painted.length > few.length ? this.#moreButton(painted.length) : null;
    this.samples.replaceChildren(
      el("p", { class: "part" }, "What it paints", more),
      el(
        "div",
        { class: "samples", style: { "--columns": String(columns) } },
        el("div", { class: "row heads", "aria-hidden": "true" }, el("span"), ...prompts.map((prompt) => el("span", { class: "head", title: prompt }, prompt))),
        untrained.length ? this.#row("Untrained", "without the LoRA", untrained, null) : null,
        ...rows.map((one) => this.#checkpoint(one)),
      ),
    );
  }

  #moreButton(/** @type {number} */ number) {
    const toggle = () => {
      this.all = !this.all;
      this.#showSamples();
    };
    return el("button", { class: "inline", type: "button", "data-press": "all", onclick: toggle }, this.all ? "Show fewer" : `Show all ${number} checkpoints`);
  }

  #checkpoint(/** @type {Checkpoint} */ one) {
    const { card } = this;
    const best = card.curve?.best === one.step ? "best" : "";
    const about = [best, one.validation === null ? "" : `validation ${loss(one.validation)}`].filter(Boolean).join(", ");
    const button = card.buttons.find((other) => other.id.startsWith("choose:") && other.picture === one.place && one.place);
    return this.#row(`Step ${one.step}`, about, one.samples, one.chosen ? el("span", { class: "chosen" }, icon("check"), "In use") : button ? this.hands.button(button) : null, one.chosen);
  }

  #row(title, about, /** @type {Sample[]} */ samples, last, marked = false) {
    const label = el("div", { class: "row-label" }, el("b", {}, title), about ? el("small", {}, about) : null, last);
    return el("div", { class: marked ? "row marked" : "row", role: "group", "aria-label": title }, label, ...samples.map((sample, nth) => this.#sample(sample, nth, title)));
  }

  #sample(/** @type {Sample} */ { url, thumb }, /** @type {number} */ nth, /** @type {string} */ row) {
    const prompt = this.card.prompts[nth] ?? "";
    const image = el("img", { src: thumb, alt: "", loading: "lazy", draggable: "false", class: "small-pixels" });
    image.onload = () => image.classList.toggle("pixels", image.naturalWidth <= 160);
    const at = this.looked.push({ url, image, title: prompt, about: row, name: `${this.card.job}-${row.toLowerCase().replace(" ", "-")}-${nth + 1}.png` }) - 1;
    return el("button", { class: "sample", type: "button", "aria-label": `Open: ${prompt}, ${row}`, onclick: () => this.#look(this.looked, at) }, image);
  }

  /** Open these pictures large; how large they are, the small ones tell. */
  #look(list, at) {
    this.hands.look(list.map(({ image, ...one }) => ({ ...one, width: image.naturalWidth || 512, height: image.naturalHeight || 512 })), at);
  }

  #showReport() {
    const { state, sheet, notes, problems } = this.card;
    const used = notes.filter((one) => one.used).length;
    const words = `${used} of ${counted(notes.length, "picture")} used`;
    const inside = [...problems.map((one) => el("p", { class: "problem" }, icon("alert"), one)), sheet ? this.#sheet(sheet) : null, this.#notes(notes)].filter(Boolean);
    this.report.hidden = !sheet && !notes.length && !problems.length;
    if (state === "draft") this.report.replaceChildren(el("p", { class: "part" }, "The pictures"), ...inside);
    else this.report.replaceChildren(el("details", { class: "recipe" }, el("summary", {}, icon("chevron"), `Pictures: ${words}`), el("div", { class: "report-inside" }, ...inside)));
  }

  #sheet(/** @type {string} */ url) {
    const image = el("img", { src: url, alt: "The pictures, each with the part that is learned from", loading: "lazy" });
    const one = [{ url, image, title: "The pictures, each with the part that is learned from", about: this.card.title, name: `${this.card.job}-pictures.jpg` }];
    return el("button", { class: "contact", type: "button", "aria-label": "Open the contact sheet", onclick: () => this.#look(one, 0) }, image);
  }

  /** Only pictures with something to say about; the numbers are those on the contact sheet. */
  #notes(/** @type {Note[]} */ notes) {
    const told = notes.map((note, nth) => ({ ...note, nth: nth + 1 })).filter((one) => one.text || !one.used);
    if (!told.length) return notes.length ? el("p", { class: "all-fine" }, icon("check"), "Nothing is wrong with any of them.") : null;
    return el(
      "ul",
      { class: "notes" },
      ...told.map(({ nth, name, text, used }) =>
        el("li", { "data-used": String(used) }, el("span", { class: "nth" }, String(nth)), el("span", {}, el("b", {}, name || `picture ${nth}`), text ? ` ${text}` : ""), el("span", { class: "verdict" }, used ? "used" : "left out")),
      ),
    );
  }
}
