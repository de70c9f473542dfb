// One card in the timeline: a view of a job as the bot sends it.

import { suggestMessage } from "./composer.js";
import { drawAvatar, drawIfChanged, el, factList, icon } from "./dom.js";
import { announce, commandBox } from "./feedback.js";
import { clockTime, displaySize } from "./format.js";
import { lightbox } from "./lightbox.js";
import { state } from "./state.js";
import { TrainingView, actionWord, confirmationOf } from "./training_view.js";

/** @typedef {import("./state.js").Action} Action */
/** @typedef {import("./state.js").Card} Card */
/** @typedef {import("./state.js").Picture} Picture */

const ENDED = new Set(["succeeded", "failed", "cancelled"]);
const PREVIEW_WIDTH = 384; // pixels of what is being painted, if it is square
const LONGEST = { alone: 460, many: 264 }; // pixels of a picture's longer side

const roomy = matchMedia("(min-width: 1000px)");

/** Only what changed is touched, so that focus and folds stay. A press is told to the page as an event "press". */
export class CardView {
  constructor(/** @type {Card} */ card) {
    this.card = card;
    this.prompt = el("p", { class: "prompt" });
    this.owner = el("span", { class: "owner" });
    this.avatar = el("span", { class: "avatar", "aria-hidden": "true" });
    this.body = el("div");
    this.status = el("p", { class: "status" });
    this.hint = el("p", { class: "hinted" });
    this.origins = el("p", { class: "origins" });
    this.actions = el("div", { class: "actions", role: "group", "aria-label": "Actions" });
    this.recipe = el("details", { class: "recipe" }, el("summary", {}, icon("chevron"), "Recipe"));
    this.recipe.firstElementChild.addEventListener("click", () => (this.recipe.dataset.folded = "by hand"));
    this.training = card.kind === "train" ? this.#newTraining() : null;
    this.node = this.#newNode();
    this.update(card);
  }

  update(/** @type {Card} */ card) {
    const before = this.card;
    this.card = card;
    this.node.dataset.state = card.state;
    this.node.classList.toggle("beside", !this.training && (card.pictures.length > 0 || card.state === "running"));
    this.node.setAttribute("aria-label", `${card.person}: ${card.title}`);
    this.owner.textContent = card.person;
    this.prompt.textContent = card.title;
    this.status.textContent = card.line;
    this.hint.textContent = card.hint;
    this.hint.hidden = !card.hint;
    this.origins.hidden = !card.origins.length;
    drawIfChanged(this, "origins", card.origins, () => this.origins.replaceChildren(...card.origins.flatMap((origin) => this.#origin(origin))));
    drawAvatar(this.avatar, card.person, card.person_key);
    const favourites = card.pictures.map((picture) => state.favourites.has(picture.url));
    if (this.training) this.training.update(/** @type {any} */ (card));
    else drawIfChanged(this, "body", [card.state, card.pictures, card.buttons, favourites], () => this.#drawBody());
    this.#drawProgress();
    drawIfChanged(this, "actions", [card.buttons, card.pictures, card.state, favourites], () => this.#drawActions());
    drawIfChanged(this, "recipe", [card.recipe, card.command], () => this.#drawRecipe());
    if (card.person_key === state.key && ENDED.has(card.state) && !ENDED.has(before.state)) {
      announce(`${card.title}: ${card.line}`);
    }
  }

  #newTraining() {
    const training = new TrainingView({
      makeButton: (action) => this.#button(action),
      openPictures: (pictures, at) => lightbox.open(pictures, at),
      suggest: suggestMessage,
    });
    this.body.append(training.node);
    return training;
  }

  #newNode() {
    const { card, training } = this;
    const at = new Date(card.at * 1000);
    const time = el("time", { datetime: at.toISOString(), title: at.toLocaleString() }, clockTime(card.at));
    const kind = training ? el("span", { class: "kind" }, "LoRA") : null;
    const lines = el("div", {}, this.status, this.origins, this.hint);
    const first = training ? [lines, this.body] : [this.body, lines];
    return el(
      "article",
      { class: training ? "card trains" : "card", "data-job": card.job, tabindex: "-1" },
      this.avatar,
      el("header", {}, this.owner, time, el("span", { class: "code" }, card.job), kind),
      this.prompt,
      el("div", { class: "rest" }, ...first, this.actions, this.recipe),
    );
  }

  /** What it started from, and a way there; told to the page as an event "bring". */
  #origin(/** @type {{text: string, job: string}} */ { text, job }) {
    if (!job) return [`From ${text} `];
    const bring = () => this.node.dispatchEvent(new CustomEvent("bring", { bubbles: true, detail: job }));
    return ["From ", el("button", { type: "button", class: "origin", onclick: bring }, text), " "];
  }

  #drawBody() {
    const { card } = this;
    this.bar = this.frame = null;
    if (card.pictures.length) {
      const many = card.pictures.length > 1;
      this.body.className = many ? "grid many" : "grid";
      this.body.replaceChildren(...card.pictures.map((picture) => this.#shot(picture, many)));
      this.recipe.open ||= roomy.matches && !many && !this.recipe.dataset.folded;
    } else if (card.state !== "running") {
      this.body.className = "";
      this.body.replaceChildren();
    } else {
      this.body.className = "canvas";
      this.#makeRoom(aspectOf(card));
      this.frame = el("div", { class: "frame" }, el("span", { class: "wait", "aria-hidden": "true" }, el("i"), el("i"), el("i")));
      this.bar = el("div", { class: "bar", role: "progressbar", "aria-label": `Painting ${card.title}`, "aria-valuemin": 0, "aria-valuemax": 100 }, el("div"));
      this.body.replaceChildren(this.frame, this.bar);
    }
  }

  /** Room for what is being painted: `aspect` is its width by its height. */
  #makeRoom(/** @type {number} */ aspect) {
    this.body.style.setProperty("--shape", String(aspect));
    this.body.style.setProperty("--wide", `${Math.round(PREVIEW_WIDTH * Math.min(1.4, aspect))}px`);
  }

  #drawProgress() {
    const { card } = this;
    if (!this.bar || !this.frame) return;
    const done = card.done ?? 0;
    this.bar.setAttribute("aria-valuenow", String(Math.round(done * 100)));
    this.bar.setAttribute("aria-valuetext", card.line);
    this.bar.firstElementChild.style.width = `${done * 100}%`;
    if (!card.preview) return;
    let image = this.frame.querySelector("img");
    if (!image) {
      image = el("img", { alt: "" });
      // Two pictures are seen side by side, four in two rows: the preview knows its shape best.
      image.onload = () => this.#makeRoom(image.naturalWidth / image.naturalHeight);
      this.frame.replaceChildren(image);
    }
    image.src = card.preview;
    image.style.filter = `blur(${((1 - done) * 8).toFixed(1)}px)`;
  }

  #shot(/** @type {Picture} */ picture, /** @type {boolean} */ many) {
    const { card } = this;
    const { wide, crisp } = displaySize(picture, many ? LONGEST.many : LONGEST.alone);
    const name = many ? `Picture ${picture.place} of ${card.title}` : card.title;
    const image = el("img", {
      src: picture.thumb, alt: name, width: picture.width, height: picture.height, class: crisp ? "pixels" : null, draggable: "true",
    });
    const open = el("button", { class: "open", type: "button", "aria-label": `Open: ${name}`, onclick: () => lightbox.openCard(card.job, picture.place) }, image);
    const actions = card.buttons.filter((action) => many && action.picture === picture.place && this.#allows(action));
    const row = el("div", { class: "actions", role: "group", "aria-label": `Picture ${picture.place}` }, ...this.#controls(actions));
    const shot = el("figure", { class: picture.hidden ? "shot covered" : "shot", style: { "--wide": `${wide}px` } }, open, actions.length ? row : null);
    if (picture.hidden) shot.prepend(coverButton(shot));
    return shot;
  }

  #drawActions() {
    const apart = this.training || this.card.pictures.length > 1; // those about one picture stand beside it
    const actions = this.card.buttons.filter((action) => (!apart || action.picture === null) && this.#allows(action));
    this.actions.replaceChildren(...this.#controls(actions));
    this.actions.hidden = actions.length === 0;
  }

  #allows(/** @type {Action} */ action) {
    return !action.owners || this.card.person_key === state.key;
  }

  /** Buttons, and a list of the actions that are wanted less. */
  #controls(/** @type {Action[]} */ actions) {
    const isListed = (/** @type {Action} */ action) => action.more && !action.id.startsWith("part:"); // which has a brush here
    const more = actions.filter(isListed);
    const buttons = actions.filter((action) => !isListed(action)).map((action) => this.#button(action));
    return more.length ? [...buttons, this.#moreList(more)] : buttons;
  }

  #moreList(/** @type {Action[]} */ actions) {
    const options = actions.map((action) => el("option", { value: action.id }, `${action.emoji} ${action.label}`));
    const choose = ({ currentTarget: list }) => {
      const action = actions.find(({ id }) => id === list.value);
      list.value = "";
      if (action) this.node.dispatchEvent(new CustomEvent("press", { bubbles: true, detail: { action, button: list, question: "" } }));
    };
    return el("select", { class: "act list", "aria-label": "More", onchange: choose }, el("option", { value: "" }, "More"), ...options);
  }

  #button(/** @type {Action} */ action) {
    const picture = action.id.startsWith("keep:") ? this.card.pictures.find(({ place }) => place === (action.picture ?? 1)) : null;
    const stars = picture?.stars ?? 0;
    const word = this.training ? actionWord(action, this.card.state) : "";
    const press = (event) => {
      const detail = { action, button: event.currentTarget, question: confirmationOf(action, this.card) };
      this.node.dispatchEvent(new CustomEvent("press", { bubbles: true, detail }));
    };
    return el(
      "button",
      {
        class: action.id.startsWith("start:") ? "act first" : "act", type: "button", title: action.label,
        "aria-label": stars ? `${action.label}, kept by ${stars}` : word ? null : action.label,
        "aria-pressed": picture ? String(state.favourites.has(picture.url)) : null, "data-press": action.id, onclick: press,
      },
      el("span", { "aria-hidden": "true" }, action.emoji),
      word ? el("span", { class: "word" }, word) : null,
      stars ? el("span", { class: "count", "aria-hidden": "true" }, String(stars)) : null,
    );
  }

  #drawRecipe() {
    const { card, recipe } = this;
    recipe.hidden = !card.recipe.length && !card.command;
    const inside = el("div", { class: "inside" }, factList(card.recipe));
    if (card.command) inside.append(commandBox(card.command));
    recipe.querySelector(".inside")?.remove();
    recipe.append(inside);
  }
}

/** Width by height of what is being painted, as far as its recipe tells. */
function aspectOf(/** @type {Card} */ card) {
  const size = card.recipe.find(([name]) => name.toLowerCase() === "size")?.[1] ?? "";
  const sides = /(\d+)\s*[:x×]\s*(\d+)/.exec(size);
  return sides ? Math.min(4, Math.max(0.25, Number(sides[1]) / Number(sides[2]))) : 1;
}

/** What covers a picture that the safety check has flagged, until somebody wants to see it. */
function coverButton(/** @type {HTMLElement} */ picture) {
  const uncover = (event) => {
    picture.classList.remove("covered");
    event.currentTarget.remove();
  };
  return el("button", { class: "cover", type: "button", onclick: uncover }, icon("eye"), "Show the filtered picture");
}
