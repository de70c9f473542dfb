// The LoRAs that can be painted with here: found, used, looked at, and changed by who made them.

import { $, el, factList, icon, sharpenWhenSmall } from "./dom.js";
import { commandBox, confirmPress, showToast } from "./feedback.js";
import { plural } from "./format.js";
import { drawCurve } from "./loss_curve.js";

/** @typedef {{name: string, trigger: string, phrase: string, hint: number, access: string, mine: boolean, person: string,
 *   uses: number, likes: number, likeness: number|null, facts: [string, string][], thumb: string|null, details: string|null, job: string|null, at: number|null}} Lora */

const ACCESS = { me: "Only me", space: "This channel", everybody: "Everybody" };
const ACCESS_LABELS = { ...ACCESS, folder: "Everybody, from the operator's folder" };
const LIKENESS = "match"; // the fact that says how near a LoRA is to what was searched for

/** The command that paints with it. */
function commandFor(/** @type {Lora} */ { name, phrase, hint }) {
  return `/imagine a photo of ${phrase || "…"} --lora ${name}${hint && hint !== 1 ? `:${hint}` : ""}`;
}

/** `page`: channel() is where we are, fill(command, values) sends a form, suggest(command) puts one into the
 * message, goToTraining(job) shows its card, train() and importFile() open a form. */
export class LoraLibrary {
  constructor(page) {
    this.page = page;
    this.turn = 0; // counts up, so that an answer that comes late is thrown away
    /** @type {Lora[]} */ this.list = [];
    $("lora-search").addEventListener("input", () => this.load());
    $("lora-search").addEventListener("keydown", (event) => event.key === "Enter" && this.#searchByLikeness());
    $("lora-like").onclick = () => this.#searchByLikeness();
    $("train").onclick = () => page.train();
    $("import").onclick = () => page.importFile();
  }

  async load() {
    const turn = ++this.turn;
    const loras = await findLoras(this.page.channel(), $("lora-search").value.trim()).catch(() => null);
    if (turn === this.turn) this.#draw(loras);
  }

  /** Those whose pictures are nearest to the words, as the engine sees it. */
  async #searchByLikeness() {
    const like = $("lora-search").value.trim();
    if (!like) return $("lora-search").focus();
    const turn = ++this.turn;
    $("lora-like").disabled = true;
    try {
      const reply = await this.page.fill("loras", { like });
      if (turn !== this.turn) return;
      if (reply.ok) this.#draw(reply.loras);
      else showToast(reply.text);
    } catch (error) {
      showToast(error.message);
    } finally {
      $("lora-like").disabled = false;
    }
  }

  #draw(/** @type {Lora[]|null} */ loras) {
    this.list = loras ?? [];
    const cards = this.list.map((lora) => this.#card(lora));
    $("library").replaceChildren(...(cards.length ? cards : [this.#emptyText(loras !== null)]));
  }

  #emptyText(/** @type {boolean} */ readable) {
    if (!readable) return el("p", { class: "nothing" }, "The LoRAs cannot be loaded right now. Try again in a moment.");
    if ($("lora-search").value.trim()) return el("p", { class: "nothing" }, "No LoRA matches your search.");
    const train = el("button", { class: "primary", type: "button", onclick: () => this.page.train() }, "Train a LoRA");
    return el("div", { class: "nothing" }, el("p", {}, "A LoRA teaches the model a person, a thing or a style from a few of your pictures."), train);
  }

  #card(/** @type {Lora} */ lora) {
    const use = el("button", { class: "primary", type: "button", onclick: () => this.page.suggest(commandFor(lora)) }, "Use");
    const more = el("button", { class: "quiet", type: "button", "aria-label": `Details of ${lora.name}`, onclick: () => this.open(lora) }, "Details");
    return el(
      "article",
      { class: "lora", "aria-label": lora.name },
      el("button", { class: "face", type: "button", "aria-label": `Open ${lora.name}`, onclick: () => this.open(lora) }, faceOf(lora)),
      el("div", { class: "lora-about" }, el("h3", {}, lora.name), lora.phrase ? el("code", {}, lora.phrase) : null, likenessBar(lora), cardFacts(lora)),
      el("div", { class: "lora-tools" }, use, more),
    );
  }

  /** Everything about one of them, and what may be done with it. */
  open(/** @type {Lora} */ lora) {
    $("lora-title").textContent = lora.name;
    $("lora-wrong").textContent = "";
    const details = el("div", { class: "lora-details" });
    $("lora-body").replaceChildren(
      el("div", { class: "lora-top" }, faceOf(lora), el("div", {}, factList(detailRows(lora)), lora.mine ? this.#sharing(lora) : null)),
      commandBox(commandFor(lora), el("button", { class: "plain", type: "button", onclick: () => this.#use(lora) }, "Use")),
      this.#tools(lora),
      details,
    );
    if (!$("lora").open) $("lora").showModal();
    $("lora-body").scrollTop = 0;
    if (lora.details) this.#addDetails(lora.details, details);
  }

  #sharing(/** @type {Lora} */ lora) {
    const choices = Object.entries(ACCESS).map(([access, label]) =>
      el("button", { type: "button", "aria-pressed": String(access === lora.access), onclick: () => this.#change(lora, { share: access }, { access }) }, label),
    );
    return el("div", { class: "sharing", role: "group", "aria-label": "Who may use it" }, el("span", {}, "Who may use it"), el("div", { class: "presets" }, ...choices));
  }

  #tools(/** @type {Lora} */ lora) {
    if (!lora.details) return null; // the operator's
    const button = (symbol, label, onclick) => el("button", { class: "quiet", type: "button", onclick }, icon(symbol), label);
    const download = button("down", "Download", () => this.#download(lora));
    const training = lora.job ? button("right", "Show the training", () => this.#goToTraining(lora.job)) : null;
    if (!lora.mine) return el("div", { class: "lora-tools" }, download, training);
    const name = el("input", { "aria-label": "New name", maxlength: 32, required: true });
    name.value = lora.name;
    const rename = el("form", { class: "renaming", hidden: true, onsubmit: (event) => this.#rename(event, lora, name.value.trim()) }, name, el("button", { class: "primary" }, "Rename"));
    const toggleRename = () => {
      rename.hidden = !rename.hidden;
      if (!rename.hidden) name.select();
    };
    const remove = button("bin", "Delete", (event) => confirmPress(event.currentTarget) && this.#change(lora, { delete: "true" }, null));
    return el("div", {}, el("div", { class: "lora-tools" }, download, button("form", "Rename", toggleRename), training, remove), rename);
  }

  #use(/** @type {Lora} */ lora) {
    $("lora").close();
    this.page.suggest(commandFor(lora));
  }

  #rename(event, /** @type {Lora} */ lora, /** @type {string} */ name) {
    event.preventDefault();
    this.#change(lora, { rename: name }, { name });
  }

  /** Let the bot change it; what it becomes is shown, or nothing where it is gone. */
  async #change(/** @type {Lora} */ lora, values, /** @type {Partial<Lora>|null} */ becomes) {
    const reply = await this.#sendForm(lora, values);
    if (!reply) return;
    if (reply.text) showToast(reply.text);
    await this.load();
    if (!becomes) $("lora").close();
    else this.open(this.list.find(({ name }) => name === (becomes.name ?? lora.name)) ?? { ...lora, ...becomes });
  }

  async #download(/** @type {Lora} */ lora) {
    const reply = await this.#sendForm(lora, { download: "true" });
    for (const { name, url } of reply?.files ?? []) {
      const link = el("a", { href: url, download: name });
      document.body.append(link);
      link.click();
      link.remove();
    }
  }

  /** The reply to /lora; null where it was refused, which is shown. */
  async #sendForm(/** @type {Lora} */ lora, values) {
    $("lora-wrong").textContent = "";
    try {
      const reply = await this.page.fill("lora", { name: lora.name, ...values });
      if (reply.ok) return reply;
      $("lora-wrong").textContent = reply.text;
    } catch (error) {
      $("lora-wrong").textContent = error.message;
    }
    return null;
  }

  async #goToTraining(/** @type {string} */ job) {
    $("lora").close();
    await this.page.goToTraining(job);
  }

  /** How it was made: its curve and its recipe, once they are read. */
  async #addDetails(/** @type {string} */ address, node) {
    const response = await fetch(address).catch(() => null);
    if (!response?.ok) return;
    const { rows, curve, sheets } = await response.json();
    const figure = curve && drawCurve(curve);
    const comparisons = sheets.flatMap(({ title, url }) => [el("p", { class: "part" }, title), el("img", { class: "lora-sheet", src: url, alt: title, loading: "lazy" })]);
    node.replaceChildren(...comparisons, ...(figure ? [el("p", { class: "part" }, "How it learned"), figure] : []), el("p", { class: "part" }, "Recipe"), factList(rows));
  }
}

/** A few of them beside an answer; pressing one suggests its command. */
export function loraStrip(/** @type {Lora[]} */ loras, suggest) {
  const buttons = loras.map((lora) => {
    const command = commandFor(lora);
    const below = likenessBar(lora) ?? el("span", {}, lora.phrase || "LoRA");
    return el("button", { type: "button", title: command, onclick: () => suggest(command) }, faceOf(lora), el("b", {}, lora.name), below);
  });
  return el("div", { class: "lora-strip" }, ...buttons, el("button", { class: "inline", type: "button", "data-view": "loras" }, "See all"));
}

/** The LoRAs of a channel whose name, words or preset are like this. @returns {Promise<Lora[]>} */
export async function findLoras(/** @type {string} */ channel, /** @type {string} */ like) {
  const response = await fetch(`/loras.json?channel=${encodeURIComponent(channel)}&like=${encodeURIComponent(like)}`);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

/** Its picture, or its first letter on a colour of its own. */
function faceOf(/** @type {Lora} */ { name, thumb }) {
  if (thumb) return sharpenWhenSmall(el("img", { src: thumb, alt: "", loading: "lazy" }));
  const hue = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0) * 37, 0) % 360;
  return el("span", { class: "no-face", "aria-hidden": "true", style: { "--hue": String(hue) } }, name[0].toUpperCase());
}

function detailRows(/** @type {Lora} */ { phrase, hint, person, at, uses, access }) {
  const date = at ? new Date(at * 1000).toLocaleDateString([], { dateStyle: "medium" }) : "";
  const rows = [
    ["Trigger", phrase],
    ["Usual weight", String(hint)],
    ["Made by", [person, date].filter(Boolean).join(", ")],
    ["Used", uses ? plural(uses, "time") : "Not yet"],
    ["Shared with", ACCESS_LABELS[access] ?? ""],
  ];
  return /** @type {[string, string][]} */ (rows.filter(([, value]) => value));
}

/** What the bot says of it on every chat's card; the bar stands for how near it is. */
function cardFacts(/** @type {Lora} */ { facts }) {
  const rows = facts.filter(([name]) => name !== LIKENESS);
  return el("dl", { class: "card-facts" }, ...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function likenessBar(/** @type {Lora} */ { likeness, facts }) {
  if (likeness === null) return null;
  const score = facts.find(([name]) => name === LIKENESS)?.[1].split(" ").at(-1) ?? "";
  const full = el("i", { style: { width: `${Math.round(likeness * 100)}%` } });
  return el("span", { class: "likeness", role: "img", "aria-label": `likeness ${score}` }, el("span", {}, full), score);
}
