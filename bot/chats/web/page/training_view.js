// The inside of a training's card: its pictures, progress, loss curve, and what its checkpoints paint.

import { drawIfChanged, el, icon, sharpenWhenSmall } from "./dom.js";
import { commandBox } from "./feedback.js";
import { plural } from "./format.js";
import { drawCurve, lossText } from "./loss_curve.js";

/** @typedef {{url: string, thumb: string}} Sample */
/** @typedef {{place: number, step: number, validation: number|null, chosen: boolean, samples: Sample[]}} Checkpoint */
/** @typedef {{name: string, text: string, used: boolean}} Note */
/** @typedef {{notes: Note[], problems: string[], sheet: string|null, curve: import("./loss_curve.js").Curve|null,
 *   prompts: string[], checkpoints: Checkpoint[], untrained: Sample[], line_to_copy: string}} Training */
/** @typedef {import("./state.js").Card & Training} TrainingCard */

const NEWEST = 3; // checkpoints in sight while it runs
const WORDS = { start: "Start", describe: "Caption for me", captions: "Captions", edit: "Change", delete: "Delete", finish: "Stop and keep", stop: "Cancel", choose: "Use this one" };
const CONFIRMATIONS = { delete: "Press again to delete", stop: "Press again to cancel" };

/** What a training's button says beside its emoji. */
export function actionWord(/** @type {import("./state.js").Action} */ { id }, /** @type {string} */ state) {
  const name = id.split(":")[0];
  if (name === "delete" && state === "draft") return "Discard";
  if (name === "edit" && state !== "draft") return "Train again";
  return WORDS[name] ?? "";
}

/** What a button asks before it does what cannot be undone; empty where it just does it. */
export function confirmationOf(/** @type {import("./state.js").Action} */ { id }, /** @type {import("./state.js").Card} */ { kind, state }) {
  const name = id.split(":")[0];
  if (name === "stop" && (kind !== "train" || state !== "running")) return "";
  return CONFIRMATIONS[name] ?? "";
}

/** `page`: makeButton(action), openPictures(pictures, at) shows them large, suggest(command) puts it into the message. */
export class TrainingView {
  constructor(page) {
    this.page = page;
    this.showsAll = false; // all checkpoints are wanted in sight
    this.bar = el("div", { class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, el("div"));
    this.line = el("div", { class: "line-to-copy", hidden: true });
    this.report = el("div", { class: "report" });
    this.curve = el("div");
    this.samples = el("div");
    this.node = el("div", { class: "training" }, this.bar, this.line, this.curve, this.samples, this.report);
  }

  update(/** @type {TrainingCard} */ card) {
    this.card = card;
    this.#drawProgress();
    drawIfChanged(this, "line", card.line_to_copy, () => this.#drawLine());
    drawIfChanged(this, "curve", card.curve, () => this.#drawCurve());
    drawIfChanged(this, "samples", [card.prompts, card.checkpoints, card.untrained, card.curve?.best, card.buttons], () => this.#drawSamples());
    drawIfChanged(this, "report", [card.state === "draft", card.sheet, card.notes, card.problems], () => this.#drawReport());
  }

  #drawProgress() {
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

  #drawLine() {
    const command = this.card.line_to_copy;
    this.line.hidden = !command;
    const use = el("button", { class: "plain", type: "button", onclick: () => this.page.suggest(command) }, "Try it");
    this.line.replaceChildren(el("p", { class: "part" }, "Paint with it"), commandBox(command, use));
  }

  #drawCurve() {
    const figure = this.card.curve && drawCurve(this.card.curve);
    this.curve.replaceChildren(...(figure ? [figure] : []));
    this.curve.hidden = !figure;
  }

  #drawSamples() {
    const { prompts, checkpoints, untrained } = this.card;
    const painted = checkpoints.filter((checkpoint) => checkpoint.samples.length);
    const offered = painted.filter((checkpoint) => checkpoint.place);
    const few = offered.length ? offered : painted.slice(-NEWEST);
    const rows = this.showsAll ? painted : few;
    this.samples.hidden = !rows.length && !untrained.length;
    /** @type {object[]} */ this.pictures = []; // all samples in sight, as the lightbox shows them
    const columns = Math.max(prompts.length, untrained.length, ...rows.map(({ samples }) => samples.length), 1);
    const more = painted.length > few.length ? this.#moreButton(painted.length) : null;
    this.samples.replaceChildren(
      el("p", { class: "part" }, "What it paints", more),
      el(
        "div",
        { class: "samples", style: { "--columns": String(columns) } },
        el("div", { class: "row heads", "aria-hidden": "true" }, el("span"), ...prompts.map((prompt) => el("span", { class: "head", title: prompt }, prompt))),
        untrained.length ? this.#row("Untrained", "Without the LoRA", untrained, null) : null,
        ...rows.map((checkpoint) => this.#checkpointRow(checkpoint)),
      ),
    );
  }

  #moreButton(/** @type {number} */ number) {
    const toggle = () => {
      this.showsAll = !this.showsAll;
      this.#drawSamples();
    };
    return el("button", { class: "inline", type: "button", "data-press": "all", onclick: toggle }, this.showsAll ? "Show fewer" : `Show all ${number} checkpoints`);
  }

  #checkpointRow(/** @type {Checkpoint} */ checkpoint) {
    const { step, validation, place, chosen, samples } = checkpoint;
    const best = this.card.curve?.best === step ? ["Best"] : [];
    const about = [...best, ...(validation === null ? [] : [`Validation ${lossText(validation)}`])].join(" · ");
    const action = this.card.buttons.find(({ id, picture }) => id.startsWith("choose:") && picture === place && place);
    const button = action ? this.page.makeButton(action) : null;
    return this.#row(`Step ${step}`, about, samples, chosen ? el("span", { class: "chosen" }, icon("check"), "In use") : button, chosen);
  }

  #row(title, about, /** @type {Sample[]} */ samples, last, marked = false) {
    const label = el("div", { class: "row-label" }, el("b", {}, title), about ? el("small", {}, about) : null, last);
    return el("div", { class: marked ? "row marked" : "row", role: "group", "aria-label": title }, label, ...samples.map((sample, index) => this.#sample(sample, index, title)));
  }

  #sample(/** @type {Sample} */ { url, thumb }, /** @type {number} */ index, /** @type {string} */ row) {
    const prompt = this.card.prompts[index] ?? "";
    const image = sharpenWhenSmall(el("img", { src: thumb, alt: "", loading: "lazy", draggable: "false" }));
    const name = `${this.card.job}-${row.toLowerCase().replace(" ", "-")}-${index + 1}.png`;
    const at = this.pictures.push({ url, image, title: prompt, about: row, name }) - 1;
    return el("button", { class: "sample", type: "button", "aria-label": `Open: ${prompt}, ${row}`, onclick: () => this.#open(this.pictures, at) }, image);
  }

  /** Open these pictures large; how large they are, the small ones tell. */
  #open(pictures, /** @type {number} */ at) {
    const sized = pictures.map(({ image, ...picture }) => ({ ...picture, width: image.naturalWidth || 512, height: image.naturalHeight || 512 }));
    this.page.openPictures(sized, at);
  }

  #drawReport() {
    const { state, sheet, notes, problems } = this.card;
    const used = notes.filter((note) => note.used).length;
    const summary = `${used} of ${plural(notes.length, "picture")} used`;
    const parts = [...problems.map((problem) => el("p", { class: "problem" }, icon("alert"), problem)), sheet ? this.#sheet(sheet) : null, this.#notes(notes)].filter(Boolean);
    this.report.hidden = !sheet && !notes.length && !problems.length;
    if (state === "draft") this.report.replaceChildren(el("p", { class: "part" }, "The pictures"), ...parts);
    else this.report.replaceChildren(el("details", { class: "recipe" }, el("summary", {}, icon("chevron"), summary), el("div", { class: "report-inside" }, ...parts)));
  }

  #sheet(/** @type {string} */ url) {
    const title = "The pictures, each with the part that is used";
    const image = el("img", { src: url, alt: title, loading: "lazy" });
    const picture = { url, image, title, about: this.card.title, name: `${this.card.job}-pictures.jpg` };
    return el("button", { class: "contact", type: "button", "aria-label": "Open the contact sheet", onclick: () => this.#open([picture], 0) }, image);
  }

  /** Only pictures with something to say about; the numbers are those on the contact sheet. */
  #notes(/** @type {Note[]} */ notes) {
    const items = notes.map((note, index) => ({ ...note, number: index + 1 })).filter(({ text, used }) => text || !used);
    if (!items.length) return notes.length ? el("p", { class: "all-fine" }, icon("check"), "All pictures are fine.") : null;
    return el(
      "ul",
      { class: "notes" },
      ...items.map(({ number, name, text, used }) =>
        el("li", { "data-used": String(used) }, el("span", { class: "nth" }, String(number)), el("span", {}, el("b", {}, name || `Picture ${number}`), text ? ` ${text}` : ""), el("span", { class: "verdict" }, used ? "Used" : "Left out")),
      ),
    );
  }
}
