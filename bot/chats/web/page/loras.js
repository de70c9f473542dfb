// The LoRAs that can be painted with here: found, used, looked at, and changed by who made them.

import { drawCurve } from "./curve.js";
import { $, asked, copyable, counted, el, facts, icon, mention } from "./parts.js";

/** @typedef {{name: string, trigger: string, phrase: string, hint: number, access: string, mine: boolean, person: string,
 *   uses: number, likes: number, likeness: number|null, facts: [string, string][], thumb: string|null, details: string|null, job: string|null, at: number|null}} Lora */

const ACCESS = { me: "Only me", space: "This channel", everybody: "Everybody" };
const HIDDEN_TOO = { ...ACCESS, folder: "From the folder" };

/** The line that paints with it. */
export function lineFor(/** @type {Lora} */ { name, phrase, hint }) {
  return `/imagine a photo of ${phrase || "…"} --lora ${name}${hint && hint !== 1 ? `:${hint}` : ""}`;
}

/** `hands`: channel() is where we are, fill(command, values) says it to the bot, say(words) puts them into the
 * message, show(job) goes to a training's card, teach() and bring() open a form. */
export class Loras {
  constructor(hands) {
    this.hands = hands;
    this.turn = 0;
    /** @type {Lora[]} */ this.list = [];
    $("lora-search").addEventListener("input", () => this.load());
    $("lora-search").addEventListener("keydown", (event) => event.key === "Enter" && this.#like());
    $("lora-like").onclick = () => this.#like();
    $("teach").onclick = () => hands.teach();
    $("bring").onclick = () => hands.bring();
  }

  async load() {
    const turn = ++this.turn;
    const found = await findLoras(this.hands.channel(), $("lora-search").value.trim()).catch(() => null);
    if (turn !== this.turn) return;
    this.#lay(found);
  }

  /** Those whose pictures are nearest to the words, as the engine sees it. */
  async #like() {
    const like = $("lora-search").value.trim();
    if (!like) return $("lora-search").focus();
    const turn = ++this.turn;
    $("lora-like").disabled = true;
    try {
      const reply = await this.hands.fill("loras", { like });
      if (turn !== this.turn) return;
      if (reply.ok) this.#lay(reply.loras);
      else mention(reply.text);
    } catch (error) {
      mention(error.message);
    } finally {
      $("lora-like").disabled = false;
    }
  }

  #lay(/** @type {Lora[]|null} */ found) {
    this.list = found ?? [];
    const cards = this.list.map((one) => this.#card(one));
    $("library").replaceChildren(...(cards.length ? cards : [this.#nothing(found !== null)]));
  }

  #nothing(/** @type {boolean} */ read) {
    if (!read) return el("p", { class: "nothing" }, "The LoRAs cannot be read right now.");
    if ($("lora-search").value.trim()) return el("p", { class: "nothing" }, "No LoRA here is called so.");
    const teach = el("button", { class: "primary", type: "button", onclick: () => this.hands.teach() }, "Teach the first one");
    return el("div", { class: "nothing" }, el("p", {}, "A LoRA teaches the model somebody, something or a style, from a few pictures of yours."), teach);
  }

  #card(/** @type {Lora} */ lora) {
    const use = el("button", { class: "primary", type: "button", onclick: () => this.hands.say(lineFor(lora)) }, "Use");
    const more = el("button", { class: "quiet", type: "button", "aria-label": `Details of ${lora.name}`, onclick: () => this.open(lora) }, "Details");
    return el(
      "article",
      { class: "lora", "aria-label": lora.name },
      el("button", { class: "face", type: "button", "aria-label": `Open ${lora.name}`, onclick: () => this.open(lora) }, face(lora)),
      el("div", { class: "lora-about" }, el("h3", {}, lora.name), lora.phrase ? el("code", {}, lora.phrase) : null, nearness(lora), factsOf(lora)),
      el("div", { class: "lora-tools" }, use, more),
    );
  }

  /** Everything about one of them, and what may be done with it. */
  open(/** @type {Lora} */ lora) {
    $("lora-title").textContent = lora.name;
    $("lora-wrong").textContent = "";
    const made = el("div", { class: "made" });
    $("lora-body").replaceChildren(
      el("div", { class: "lora-top" }, face(lora), el("div", {}, facts(rowsOf(lora)), lora.mine ? this.#sharing(lora) : null)),
      copyable(lineFor(lora), "Copy the line", el("button", { class: "plain", type: "button", onclick: () => this.#use(lora) }, "Use")),
      this.#tools(lora),
      made,
    );
    if (!$("lora").open) $("lora").showModal();
    $("lora-body").scrollTop = 0;
    if (lora.details) this.#tell(lora.details, made);
  }

  #sharing(/** @type {Lora} */ lora) {
    const choices = Object.entries(ACCESS).map(([access, words]) =>
      el("button", { type: "button", "aria-pressed": String(access === lora.access), onclick: () => this.#change(lora, { share: access }, { access }) }, words),
    );
    return el("div", { class: "sharing", role: "group", "aria-label": "Who may use it" }, el("span", {}, "Who may use it"), el("div", { class: "presets" }, ...choices));
  }

  #tools(/** @type {Lora} */ lora) {
    const act = (name, words, does) => el("button", { class: "quiet", type: "button", onclick: does }, icon(name), words);
    const download = act("down", "Download", () => this.#download(lora));
    const training = lora.job ? act("right", "Its training", () => this.#show(lora.job)) : null;
    if (!lora.details) return null; // the operator's
    if (!lora.mine) return el("div", { class: "lora-tools" }, download, training);
    const name = el("input", { "aria-label": "New name", maxlength: 32, required: true });
    name.value = lora.name;
    const rename = el("form", { class: "renaming", hidden: true, onsubmit: (event) => this.#rename(event, lora, name.value.trim()) }, name, el("button", { class: "primary" }, "Rename"));
    const showRename = () => {
      rename.hidden = !rename.hidden;
      if (!rename.hidden) name.select();
    };
    const remove = act("bin", "Delete", (event) => asked(event.currentTarget) && this.#change(lora, { delete: "true" }, null));
    return el("div", {}, el("div", { class: "lora-tools" }, download, act("form", "Rename", showRename), training, remove), rename);
  }

  #use(/** @type {Lora} */ lora) {
    $("lora").close();
    this.hands.say(lineFor(lora));
  }

  #rename(event, /** @type {Lora} */ lora, /** @type {string} */ name) {
    event.preventDefault();
    this.#change(lora, { rename: name }, { name });
  }

  /** Let the bot change it; what it becomes is shown, or nothing where it is gone. */
  async #change(/** @type {Lora} */ lora, values, /** @type {Partial<Lora>|null} */ becomes) {
    const reply = await this.#said(lora, values);
    if (!reply) return;
    if (reply.text) mention(reply.text);
    await this.load();
    if (!becomes) $("lora").close();
    else this.open(this.list.find((one) => one.name === (becomes.name ?? lora.name)) ?? { ...lora, ...becomes });
  }

  async #download(/** @type {Lora} */ lora) {
    const reply = await this.#said(lora, { download: "true" });
    for (const { name, url } of reply?.files ?? []) {
      const link = el("a", { href: url, download: name });
      document.body.append(link);
      link.click();
      link.remove();
    }
  }

  async #said(/** @type {Lora} */ lora, values) {
    $("lora-wrong").textContent = "";
    try {
      const reply = await this.hands.fill("lora", { name: lora.name, ...values });
      if (reply.ok) return reply;
      $("lora-wrong").textContent = reply.text;
    } catch (error) {
      $("lora-wrong").textContent = error.message;
    }
    return null;
  }

  async #show(/** @type {string} */ job) {
    $("lora").close();
    await this.hands.show(job);
  }

  /** How it was made: its curve and its recipe. */
  async #tell(/** @type {string} */ details, place) {
    const response = await fetch(details).catch(() => null);
    if (!response?.ok) return;
    const { rows, curve, sheets } = await response.json();
    const drawn = curve && drawCurve(curve);
    const seen = sheets.flatMap(({ title, url }) => [el("p", { class: "part" }, title), el("img", { class: "lora-sheet", src: url, alt: title, loading: "lazy" })]);
    place.replaceChildren(...seen, ...(drawn ? [el("p", { class: "part" }, "How it learned"), drawn] : []), el("p", { class: "part" }, "Recipe"), facts(rows));
  }
}

/** A few of them beside an answer; pressing one puts its line into the message. */
export function few(/** @type {Lora[]} */ list, say, openAll) {
  const one = (lora) => el("button", { type: "button", title: lineFor(lora), onclick: () => say(lineFor(lora)) }, face(lora), el("b", {}, lora.name), nearness(lora) ?? el("span", {}, lora.phrase || "LoRA"));
  return el("div", { class: "few" }, ...list.map(one), el("button", { class: "inline", type: "button", onclick: openAll }, "See all"));
}

/** The LoRAs of a channel whose name, words or preset are like this. @returns {Promise<Lora[]>} */
export async function findLoras(/** @type {string} */ channel, /** @type {string} */ like) {
  const response = await fetch(`/loras.json?channel=${encodeURIComponent(channel)}&like=${encodeURIComponent(like)}`);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function face(/** @type {Lora} */ { name, thumb }) {
  if (!thumb) return el("span", { class: "no-face", "aria-hidden": "true", style: { "--hue": String([...name].reduce((sum, one) => sum + one.charCodeAt(0) * 37, 0) % 360) } }, name[0].toUpperCase());
  const image = el("img", { src: thumb, alt: "", loading: "lazy" });
  image.onload = () => image.classList.toggle("pixels", image.naturalWidth <= 160);
  return image;
}

function rowsOf(/** @type {Lora} */ { phrase, hint, person, at, uses, access }) {
  const made = at ? new Date(at * 1000).toLocaleDateString([], { dateStyle: "medium" }) : "";
  const rows = [
    ["called up by", phrase],
    ["usual weight", String(hint)],
    ["made by", [person, made].filter(Boolean).join(", ")],
    ["painted with", uses ? counted(uses, "time") : "not yet"],
    ["for", HIDDEN_TOO[access] ?? ""],
  ];
  return /** @type {[string, string][]} */ (rows.filter(([, value]) => value));
}

/** What the bot says of it on every chat's card; the bar stands for how near it is. */
function factsOf(/** @type {Lora} */ { facts: told }) {
  const rows = told.filter(([name]) => name !== "like it");
  return el("dl", { class: "card-facts" }, ...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function nearness(/** @type {Lora} */ { likeness, facts: told }) {
  if (likeness === null) return null;
  const score = told.find(([name]) => name === "like it")?.[1].split(" ").at(-1) ?? "";
  const full = el("i", { style: { width: `${Math.round(likeness * 100)}%` } });
  return el("span", { class: "nearness", role: "img", "aria-label": `likeness ${score}` }, el("span", {}, full), score);
}
