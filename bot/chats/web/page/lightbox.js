// The lightbox: one picture large, with its recipe, among those beside it.

import { $, el, factList, icon } from "./dom.js";
import { copyText } from "./feedback.js";
import { displaySize } from "./format.js";
import { state } from "./state.js";

/** Pictures of cards, or others that say by `about` and `name` what they are.
 * @typedef {{url: string, title: string, width: number, height: number, job?: string, place?: number, seed?: string,
 *   channel?: string, recipe?: string, about?: string, name?: string}} Shown */

export const lightbox = {
  /** @type {Shown[]} */ pictures: [],
  at: 0,

  /** Open a picture of a card, among those of all cards in sight. */
  openCard(/** @type {string} */ job, /** @type {number} */ place) {
    const cards = [...state.cards.values()].map((view) => view.card).sort((a, b) => a.number - b.number);
    const pictures = cards.flatMap((card) => card.pictures.map((picture) => ({ ...picture, title: card.title, job: card.job, channel: card.channel })));
    this.open(pictures, pictures.findIndex((picture) => picture.job === job && picture.place === place));
  },

  open(/** @type {Shown[]} */ pictures, /** @type {number} */ at) {
    Object.assign(this, { pictures, at });
    $("lightbox").showModal();
    this.draw();
  },

  step(/** @type {number} */ by) {
    if (!this.pictures[this.at + by]) return;
    this.at += by;
    this.draw();
  },

  draw() {
    const picture = this.pictures[this.at];
    const room = Math.min(window.innerWidth - 160, window.innerHeight - 240);
    const { wide, crisp } = displaySize(picture, Math.max(room, 280));
    const image = $("large");
    image.className = crisp ? "pixels" : "";
    image.style.width = crisp ? `${wide}px` : "";
    image.src = picture.url;
    image.alt = picture.title;
    $("left").hidden = this.at === 0;
    $("right").hidden = this.at === this.pictures.length - 1;
    this.drawCaption(picture);
  },

  drawCaption(/** @type {Shown} */ picture) {
    const download = el("a", { href: picture.url, download: picture.name ?? `${picture.job}-${picture.place}.png` }, icon("down"), "Download");
    const tools = el("div", { class: "tools" }, download);
    if (picture.channel && state.view !== "chat") {
      tools.append(el("button", { type: "button", onclick: () => this.showCard(picture) }, icon("right"), `Show in # ${picture.channel}`));
    }
    const about = picture.about ?? `${picture.width} × ${picture.height} · seed ${picture.seed}`;
    $("caption").replaceChildren(
      el("p", { class: "title" }, picture.title),
      el("p", { class: "small" }, `${about} · ${this.at + 1} of ${this.pictures.length}`),
      tools,
    );
    if (picture.recipe) this.addRecipe(picture.recipe, tools);
  },

  /** The recipe of this picture alone, once it is read. */
  async addRecipe(/** @type {string} */ address, tools) {
    const response = await fetch(address).catch(() => null);
    if (!response?.ok) return;
    const { rows, command } = await response.json();
    const recipe = factList(rows);
    recipe.hidden = true;
    tools.append(
      el("button", { type: "button", "aria-expanded": "false", onclick: (event) => toggle(event.currentTarget, recipe) }, icon("form"), "Recipe"),
      el("button", { type: "button", onclick: () => copyText(command) }, icon("copy"), "Copy command"),
    );
    tools.after(recipe);
  },

  showCard(/** @type {Shown} */ { channel, job }) {
    $("lightbox").close();
    $("lightbox").dispatchEvent(new CustomEvent("showcard", { detail: { channel, job } }));
  },
};

function toggle(button, part) {
  part.hidden = !part.hidden;
  button.setAttribute("aria-expanded", String(!part.hidden));
}
