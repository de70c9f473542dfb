// The local chat's page. Cards are views of jobs that the bot sends; what people wrote is only ever inserted as text.

import { $, announce, asked, copy, copyable, el, facts, fitted, icon, memory, mention, once, paintAvatar, tool, when } from "./parts.js";
import { allowed, showForm, trayOfForm } from "./forms.js";
import { Loras, few, findLoras } from "./loras.js";
import { Tray } from "./pictures.js";
import { TrainingView, sureOf, wordOf } from "./training.js";

/** @typedef {{place: number, seed: string, width: number, height: number, stars: number,
 *   url: string, thumb: string, recipe: string}} Picture */
/** @typedef {{id: string, emoji: string, label: string, picture: number|null, owners: boolean}} Action */
/** @typedef {{channel: string, job: string, kind: string, number: number, person: string, person_key: string, state: string,
 *   title: string, line: string, hint: string, done: number|null, preview: string|null, pictures: Picture[],
 *   recipe: [string, string][], command: string, buttons: Action[], at: number}} Card */
/** @typedef {{name: string, label: string, flags: string[], help: string, type: string, low: number|null, high: number|null,
 *   choices: string[], names: string[], default: string, otherwise: string, required: boolean, repeated: boolean,
 *   spoken: boolean, long: boolean, more?: boolean, about?: Record<string, string>}} Parameter */
/** @typedef {{name: string, help: string, submit: string, parameters: Parameter[]}} Command */

const FIRST_PAUSE = 500; // ms before the next try to connect, doubled each time
const LONGEST_PAUSE = 15000;
const ANSWER_WITHIN = 20000; // ms: a connection that is silent for longer is taken for dead
const ENDED = new Set(["succeeded", "failed", "cancelled"]);
const EXAMPLES = [
  ["A star above a circle", "/imagine a red star above a blue circle on a white background"],
  ["Four hearts", "/imagine a large green heart on a black background --count 4"],
  ["A wide one", "/imagine a yellow triangle on a blue background --size 3:2 --steps 20"],
  ["All commands", "/help"],
];

const roomy = matchMedia("(min-width: 1000px)");
const state = {
  key: "", // who I am here
  name: "",
  /** @type {Map<string, number>} */ channels: new Map(), // name -> number of its newest card
  channel: "",
  /** @type {Map<string, CardView>} */ cards: new Map(),
  more: false, // there are older cards than these
  /** @type {Map<string, Command>} */ commands: new Map(),
  /** @type {Set<string>} */ kept: new Set(), // addresses of the pictures that I keep
  pinned: true, // the newest is in sight, and stays so
  scrolled: 0, // pixels from the top, when it was scrolled last
  view: "chat",
};

// The wire: asks and answers, and a connection that comes back by itself

class Wire {
  constructor(hear, greet, tell) {
    Object.assign(this, { hear, greet, tell });
    this.socket = null;
    this.tries = 0;
    this.asked = 0;
    this.timer = 0;
    /** @type {Map<number, {resolve: Function, reject: Function, timer: number}>} */ this.waiting = new Map();
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  async connect() {
    clearTimeout(this.timer);
    this.timer = 0; // no next try is planned: this is it
    this.tell("wait", this.tries ? "Reconnecting" : "Connecting");
    try {
      await this.greet();
    } catch {
      this.later();
      return;
    }
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
    this.socket = socket;
    socket.onmessage = (event) => JSON.parse(event.data).forEach((told) => this.take(told));
    socket.onclose = () => this.socket === socket && this.lost();
  }

  lost() {
    this.socket = null;
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(new Error("The connection broke before the answer came. Look whether it arrived before you send it again."));
    }
    this.waiting.clear();
    this.later();
  }

  later() {
    const pause = Math.min(FIRST_PAUSE * 2 ** this.tries, LONGEST_PAUSE) * (0.75 + Math.random() / 2);
    this.tries += 1;
    this.tell("off", "Offline, trying again");
    this.timer = setTimeout(() => this.connect(), pause);
  }

  /** The network is back, or somebody looks: do not wait any longer. */
  hurry() {
    if (this.timer) this.connect();
  }

  take(message) {
    if (message.hello) {
      this.tries = 0;
      this.tell("on", "Connected");
    }
    const waiting = this.waiting.get(message.n);
    if (!waiting) {
      this.hear(message);
      return;
    }
    clearTimeout(waiting.timer);
    if (message.later) return; // the engine was asked, too
    this.waiting.delete(message.n);
    if (message.error) waiting.reject(new Error(message.error));
    else waiting.resolve(message);
  }

  ask(message) {
    if (!this.open) return Promise.reject(new Error("Not connected right now. It will be tried again by itself; please send it once more then."));
    const n = ++this.asked;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.socket?.close(), ANSWER_WITHIN);
      this.waiting.set(n, { resolve, reject, timer });
      this.socket.send(JSON.stringify({ n, ...message }));
    });
  }
}

const wire = new Wire(hear, define, (is, words) => {
  $("state").dataset.state = is;
  $("state").textContent = words;
});

/** Definitions with my own defaults, and a cookie for a new browser, come before the connection. */
async function define() {
  const response = await fetch("/commands.json", { cache: "no-store" });
  if (response.status === 401) return askToken().then(define);
  if (!response.ok) throw new Error(await response.text());
  const told = await response.json();
  state.commands = new Map(told.commands.map((command) => [command.name, command]));
}

function hear(message) {
  if (message.hello) welcome(message.hello);
  else if (message.card) hearCard(message.card);
  else if (message.gone) dropCard(message.gone);
  else if (message.news) seeNews(message.news, message.number);
  else if (message.named) rename(message.named);
  else if (message.error) notice({ text: message.error, ok: false });
}

function hearCard(/** @type {Card} */ card) {
  const before = state.cards.get(card.job)?.card.state;
  seeCard(card);
  if (state.view === "loras" && card.kind === "train" && card.state === "succeeded" && before !== card.state) loras.load();
}

async function welcome(hello) {
  state.key = hello.key;
  state.channels = new Map(hello.channels.map(({ name, newest }) => [name, newest]));
  showMe(hello.name);
  const last = memory.get("channel", "");
  const channel = state.channels.has(state.channel || last) ? state.channel || last : [...state.channels.keys()][0];
  loadKept();
  await openChannel(channel, state.channel !== channel);
}

async function askToken() {
  const dialog = $("token");
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.querySelector("form").onsubmit = async (event) => {
      event.preventDefault();
      const answer = await fetch("/token", { method: "POST", body: $("token-field").value });
      $("token-wrong").textContent = answer.ok ? "" : answer.status === 429 ? "Too many wrong tokens were tried: wait ten seconds." : "This is not the token.";
      if (!answer.ok) return;
      dialog.close();
      resolve(undefined);
    };
    dialog.oncancel = (event) => event.preventDefault();
  });
}

// Channels and who I am

function showChannels() {
  const items = [...state.channels].map(([name, newest]) => {
    const here = name === state.channel && state.view === "chat";
    const unread = !here && newest > memory.get(`read:${name}`, 0);
    const label = unread ? `${name}, something new` : name;
    const button = el(
      "button",
      { class: unread ? "link unread" : "link", "aria-current": here ? "page" : null, "aria-label": label, onclick: () => goTo(name) },
      el("span", { class: "hash", "aria-hidden": "true" }, "#"),
      el("span", { class: "text" }, name),
      unread ? el("span", { class: "dot" }) : null,
    );
    return el("li", {}, button);
  });
  $("channels").replaceChildren(...items);
  document.title = [...$("channels").querySelectorAll(".unread")].length ? "• Atelier" : "Atelier";
  for (const link of document.querySelectorAll(".side [data-gallery], .side [data-view]")) {
    link.toggleAttribute("aria-current", state.view === (link.dataset.gallery ?? link.dataset.view));
  }
}

async function goTo(name) {
  foldSide();
  showView("chat");
  if (name !== state.channel) await openChannel(name, true);
  $("words").focus();
}

/** Read a channel; `anew` forgets the one before, else what is there is brought up to date. */
async function openChannel(name, anew) {
  const limit = anew ? 0 : state.cards.size;
  state.channel = name;
  memory.set("channel", name);
  if (anew) clearFeed();
  if (state.view === "chat") $("where").textContent = `# ${name}`;
  $("feed").setAttribute("aria-busy", "true");
  try {
    const answer = await wire.ask({ open: name, limit });
    if (answer.channel === state.channel) mergeHistory(answer.cards, answer.more);
  } catch (error) {
    notice({ text: error.message, ok: false });
  }
  $("feed").setAttribute("aria-busy", "false");
  showChannels();
}

function seeNews(name, number) {
  state.channels.set(name, Math.max(number, state.channels.get(name) ?? 0));
  showChannels();
}

/** The newest card of this channel was in sight. */
function markRead() {
  if (document.hidden || state.view !== "chat" || !state.channel) return;
  const newest = Math.max(0, ...[...state.cards.values()].map((view) => view.card.number));
  state.channels.set(state.channel, Math.max(newest, state.channels.get(state.channel) ?? 0));
  if (newest > memory.get(`read:${state.channel}`, 0)) memory.set(`read:${state.channel}`, newest);
}

function showMe(name) {
  state.name = name;
  $("me-name").textContent = name;
  $("me").setAttribute("aria-label", `You are ${name}. Change your name`);
  paintAvatar($("me-avatar"), name, state.key);
}

/** Somebody, maybe I, is called otherwise from now on. */
function rename({ key, name }) {
  if (key === state.key) showMe(name);
  for (const view of state.cards.values()) if (view.card.person_key === key) view.update({ ...view.card, person: name });
}

function askName() {
  $("rename-field").value = state.name;
  $("rename-wrong").textContent = "";
  $("rename").showModal();
  $("rename-field").select();
}

async function saveName(event) {
  event.preventDefault();
  try {
    const answer = await wire.ask({ name: $("rename-field").value });
    showMe(answer.name);
    $("rename").close();
  } catch (error) {
    $("rename-wrong").textContent = error.message;
  }
}

// The timeline

/** One card on the page; only what changed is touched, so that focus and folds stay. */
class CardView {
  constructor(/** @type {Card} */ card) {
    this.card = card;
    this.prompt = el("p", { class: "prompt" });
    this.owner = el("span", { class: "owner" });
    this.avatar = el("span", { class: "avatar", "aria-hidden": "true" });
    this.body = el("div");
    this.status = el("p", { class: "status" });
    this.hint = el("p", { class: "hinted" });
    const told = el("div", {}, this.status, this.hint);
    this.actions = el("div", { class: "actions", role: "group", "aria-label": "What to do with it" });
    this.recipe = el("details", { class: "recipe" }, el("summary", {}, icon("chevron"), "Recipe"));
    this.recipe.firstElementChild.addEventListener("click", () => (this.recipe.dataset.folded = "by hand"));
    const filed = new Date(card.at * 1000);
    const time = el("time", { datetime: filed.toISOString(), title: filed.toLocaleString() }, when(card.at));
    const trains = card.kind === "train";
    this.training = trains ? new TrainingView({ button: (one) => this.#button(one), look: (list, at) => lightbox.open(list, at), say: sayNext }) : null;
    if (this.training) this.body.append(this.training.node);
    const rest = trains ? [told, this.body, this.actions, this.recipe] : [this.body, told, this.actions, this.recipe];
    this.node = el(
      "article",
      { class: trains ? "card teaches" : "card", "data-job": card.job, tabindex: "-1" },
      this.avatar,
      el("header", {}, this.owner, time, el("span", { class: "code" }, card.job), trains ? el("span", { class: "kind" }, "LoRA") : null),
      this.prompt,
      el("div", { class: "rest" }, ...rest),
    );
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
    paintAvatar(this.avatar, card.person, card.person_key);
    if (this.training) this.training.update(/** @type {any} */ (card));
    else once(this, "body", [card.state, card.pictures, card.buttons, this.#kept()], () => this.#showBody());
    this.#progress();
    once(this, "actions", [card.buttons, card.pictures, card.state, this.#kept()], () => this.#showActions());
    once(this, "recipe", [card.recipe, card.command], () => this.#showRecipe());
    if (card.person_key === state.key && ENDED.has(card.state) && !ENDED.has(before.state)) {
      announce(`${card.title}: ${card.line}`);
    }
  }

  #kept() {
    return this.card.pictures.map((picture) => state.kept.has(picture.url));
  }

  #showBody() {
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
      this.#makeRoom(shapeOf(card));
      this.frame = el("div", { class: "frame" }, el("span", { class: "wait", "aria-hidden": "true" }, el("i"), el("i"), el("i")));
      this.bar = el("div", { class: "bar", role: "progressbar", "aria-label": `Painting ${card.title}`, "aria-valuemin": 0, "aria-valuemax": 100 }, el("div"));
      this.body.replaceChildren(this.frame, this.bar);
    }
  }

  /** Room for what is being painted: `shape` is its width by its height. */
  #makeRoom(/** @type {number} */ shape) {
    this.body.style.setProperty("--shape", String(shape));
    this.body.style.setProperty("--wide", `${Math.round(384 * Math.min(1.4, shape))}px`);
  }

  #progress() {
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
    const { wide, crisp } = fitted(picture, many ? 264 : 460);
    const { card } = this;
    const name = many ? `Picture ${picture.place} of ${card.title}` : card.title;
    const image = el("img", {
      src: picture.thumb, alt: name, width: picture.width, height: picture.height, class: crisp ? "pixels" : null, draggable: "false",
    });
    const open = el("button", { class: "open", type: "button", "aria-label": `Open: ${name}`, onclick: () => lightbox.openCard(card.job, picture.place) }, image);
    const buttons = card.buttons.filter((one) => many && one.picture === picture.place && this.#may(one));
    const row = buttons.length ? el("div", { class: "actions", role: "group", "aria-label": `Picture ${picture.place}` }, ...buttons.map((one) => this.#button(one))) : null;
    const shot = el("figure", { class: picture.hidden ? "shot covered" : "shot", style: { "--wide": `${wide}px` } }, open, row);
    if (picture.hidden) shot.prepend(uncovering(shot));
    return shot;
  }

  #showActions() {
    const apart = this.training || this.card.pictures.length > 1; // those about one picture stand beside it
    const buttons = this.card.buttons.filter((one) => (!apart || one.picture === null) && this.#may(one));
    this.actions.replaceChildren(...buttons.map((one) => this.#button(one)));
    this.actions.hidden = buttons.length === 0;
  }

  #may(/** @type {Action} */ button) {
    return !button.owners || this.card.person_key === state.key;
  }

  #button(/** @type {Action} */ button) {
    const keep = button.id.startsWith("keep:");
    const picture = this.card.pictures.find((one) => one.place === (button.picture ?? 1));
    const stars = keep ? (picture?.stars ?? 0) : 0;
    const pressed = keep ? String(state.kept.has(picture?.url ?? "")) : null;
    const word = this.training ? wordOf(button, this.card.state) : "";
    return el(
      "button",
      {
        class: button.id.startsWith("start:") ? "act first" : "act", type: "button", title: button.label,
        "aria-label": stars ? `${button.label}, kept by ${stars}` : word ? null : button.label,
        "aria-pressed": pressed, "data-press": button.id, onclick: (event) => press(button, event.currentTarget, sureOf(button, this.card)),
      },
      el("span", { "aria-hidden": "true" }, button.emoji),
      word ? el("span", { class: "word" }, word) : null,
      stars ? el("span", { class: "count", "aria-hidden": "true" }, String(stars)) : null,
    );
  }

  #showRecipe() {
    const { card, recipe } = this;
    recipe.hidden = !card.recipe.length && !card.command;
    const inside = el("div", { class: "inside" }, facts(card.recipe));
    if (card.command) inside.append(copyable(card.command, "Copy the command"));
    recipe.querySelector(".inside")?.remove();
    recipe.append(inside);
  }
}

/** Width by height of what is being painted, as far as its recipe tells. */
function shapeOf(/** @type {Card} */ card) {
  const size = card.recipe.find(([name]) => name.toLowerCase() === "size")?.[1] ?? "";
  const found = /(\d+)\s*[:x×]\s*(\d+)/.exec(size);
  return found ? Math.min(4, Math.max(0.25, Number(found[1]) / Number(found[2]))) : 1;
}

function clearFeed() {
  state.cards.clear();
  state.more = false;
  state.pinned = true;
  $("feed").replaceChildren();
}

/** The newest cards as they are now: what is missing among them is gone, and a gap to older ones is not left open. */
function mergeHistory(/** @type {Card[]} */ cards, /** @type {boolean} */ more) {
  const oldest = cards.at(-1)?.number ?? 0;
  const there = new Set(cards.map((card) => card.job));
  for (const [job, view] of state.cards) if (!there.has(job) && (view.card.number >= oldest || more)) dropCard(job);
  state.more = more;
  for (const card of [...cards].reverse()) putCard(card);
  afterCards();
}

function seeCard(/** @type {Card} */ card) {
  if (card.channel !== state.channel) return;
  const oldest = Math.min(...[...state.cards.values()].map((view) => view.card.number));
  if (!state.cards.has(card.job) && state.more && card.number < oldest) return;
  putCard(card);
  afterCards();
}

function putCard(/** @type {Card} */ card) {
  const known = state.cards.get(card.job);
  if (known) {
    known.update(card);
    return known;
  }
  const view = new CardView(card);
  const after = [...state.cards.values()].filter((one) => one.card.number > card.number);
  const next = after.reduce((first, one) => (!first || one.card.number < first.card.number ? one : first), null);
  if (next) next.node.before(view.node);
  else $("feed").append(view.node);
  state.cards.set(card.job, view);
  return view;
}

function dropCard(/** @type {string} */ job) {
  state.cards.get(job)?.node.remove();
  state.cards.delete(job);
  afterCards();
}

function afterCards() {
  $("older").hidden = !state.more;
  $("welcome").hidden = state.cards.size > 0 || $("feed").childElementCount > 0;
  markRead();
  stick();
}

async function loadOlder() {
  const numbers = [...state.cards.values()].map((view) => view.card.number);
  if (!state.more || !numbers.length || $("older").disabled) return;
  $("older").disabled = true;
  try {
    const { cards, more, channel } = await wire.ask({ older: Math.min(...numbers) });
    if (channel !== state.channel) return;
    const height = $("scroll").scrollHeight - $("scroll").scrollTop;
    state.more = more;
    cards.forEach(putCard);
    $("older").hidden = !more;
    $("scroll").scrollTop = $("scroll").scrollHeight - height;
  } catch (error) {
    notice({ text: error.message, ok: false });
  } finally {
    $("older").disabled = false;
  }
}

/** Bring a card in sight, at the end if it was not there. */
async function callCard(/** @type {string} */ job) {
  let view = state.cards.get(job);
  if (!view) {
    const { cards } = await wire.ask({ card: job });
    if (!cards.length) return false;
    view = putCard(cards[0]);
  }
  $("feed").append(view.node);
  toBottom();
  view.node.classList.remove("called");
  requestAnimationFrame(() => view.node.classList.add("called"));
  return true;
}

function stick() {
  if (state.pinned) $("scroll").scrollTop = $("scroll").scrollHeight;
}

function toBottom() {
  state.pinned = true;
  stick();
}

function onScroll() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroll");
  // What grew meanwhile, such as a picture that has just come, lets nobody go: only who scrolls up leaves.
  const up = scrollTop < state.scrolled;
  state.scrolled = scrollTop;
  state.pinned = scrollHeight - scrollTop - clientHeight < 80 || (state.pinned && !up);
  $("to-bottom").hidden = state.pinned;
  if (scrollTop < 80) loadOlder();
}

/** Text as it is, but lines such as "  --steps   denoising steps" stand in two columns. */
function columned(/** @type {string} */ text) {
  const parts = [];
  for (const line of text.split("\n")) {
    const [, name, about] = /^ {2}(\S.*?) {2,}(\S.*)$/.exec(line) ?? [];
    const last = parts.at(-1);
    if (!name) parts.push(el("div", {}, line || "\u00a0"));
    else if (last?.tagName === "DL") last.append(el("dt", {}, name), el("dd", {}, about));
    else parts.push(el("dl", {}, el("dt", {}, name), el("dd", {}, about)));
  }
  return parts;
}

/** An answer for me alone, where I am in the timeline. */
function notice({ text = "", ok = true, echo = "", files = [], loras: found = [], drawn = [] }) {
  const node = el(
    "article",
    { class: ok ? "notice" : "notice wrong-one", "aria-label": "Only you can see this" },
    el("p", { class: "private" }, icon("eye"), "Only you can see this"),
    tool("close", "Dismiss", () => {
      node.remove();
      afterCards();
      $("words").focus();
    }),
    echo ? el("p", { class: "echo" }, echo) : null,
    text && found.length < 2 ? el("div", { class: "said" }, ...columned(text)) : null,
    found.length ? few(found, sayNext, openLoras) : null,
    ...drawn.map(({ name, url }) => el("img", { class: "lora-sheet", src: url, alt: `${name}: what the words above say` })),
    ...files.filter(({ name }) => found.length && name.endsWith(".png")).map(({ name, url }) => el("img", { class: "lora-sheet", src: url, alt: name })),
    files.length ? el("div", { class: "files" }, ...files.map(({ name, url }) => el("a", { href: url, download: name }, icon("down"), name))) : null,
  );
  $("feed").append(node);
  $("welcome").hidden = true;
  announce(text || `${files.length} files for you`);
  toBottom();
}

function showWelcome() {
  const mark = document.querySelector(".brand .mark").cloneNode(true);
  const examples = EXAMPLES.map(([name, words]) =>
    el("button", { type: "button", onclick: () => sayNext(words) }, el("b", {}, name), el("span", {}, words)),
  );
  $("welcome").replaceChildren(
    mark,
    el("h2", {}, "Nothing is painted here yet"),
    el("p", {}, "Say what you want to see, and watch it appear. Everybody in this channel sees it with you."),
    el("div", { class: "examples" }, ...examples),
  );
}

// Saying things

/** Press a button; what it is `sure` to be asked is pressed twice. */
async function press(/** @type {Action} */ button, node, /** @type {string} */ sure) {
  if (sure && !asked(node, sure)) return;
  node.disabled = true;
  try {
    const { reply } = await wire.ask({ press: button.id });
    if (reply.ok && button.id.startsWith("keep:")) await loadKept();
    if (reply.ok && reply.text && !reply.files.length) mention(reply.text); // the card shows it too
    else takeReply(reply, `${button.emoji} ${button.label}`);
  } catch (error) {
    notice({ text: error.message, ok: false });
  } finally {
    node.disabled = false;
  }
}

function takeReply(reply, echo) {
  if (reply.form) openForm(reply.form.command, reply.form.values, reply.text);
  else if (reply.text || reply.files.length || reply.loras.length) notice({ ...reply, echo });
  if (reply.job) {
    toBottom();
    if (/^\/show\b/i.test(echo)) callCard(reply.job).catch((error) => notice({ text: error.message, ok: false }));
  }
}

/** Which pictures I keep is the bot's to say: another of my pages may have changed it. */
async function loadKept() {
  const kept = new Set();
  for (let before = "", page = 0; page < 10; page++) {
    const response = await fetch(`/gallery?starred=1&before=${before}`).catch(() => null);
    if (!response?.ok) break;
    const { pictures, more } = await response.json();
    for (const picture of pictures) kept.add(picture.url);
    if (!more) break;
    before = pictures.at(-1).id;
  }
  state.kept = kept;
  for (const view of state.cards.values()) view.update(view.card);
}

const sent = { list: memory.get("sent", []), at: null, draft: "" };

function remember(words) {
  sent.list = [...sent.list.filter((one) => one !== words), words].slice(-50);
  sent.at = null;
  memory.set("sent", sent.list);
}

/** Bring back what was sent before; false when there is nothing in that direction. */
function recall(step) {
  const at = (sent.at ?? sent.list.length) + step;
  if (at < 0 || at > sent.list.length || !sent.list.length) return false;
  if (sent.at === null) sent.draft = $("words").value;
  sent.at = at === sent.list.length ? null : at;
  setWords(sent.at === null ? sent.draft : sent.list[at]);
  return true;
}

async function send() {
  const words = $("words").value.trim();
  if (!words) return;
  if (!wire.open) {
    notice({ text: "Not connected right now. Your words stay here; send them when the connection is back.", ok: false });
    return;
  }
  remember(words);
  setWords("");
  try {
    const { reply } = await wire.ask({ say: words });
    if (!reply.ok && !$("words").value) setWords(words);
    takeReply(reply, words);
  } catch (error) {
    notice({ text: error.message, ok: false, echo: words });
  }
}

/** Words for the message field, to be looked at and sent. */
function sayNext(/** @type {string} */ words) {
  showView("chat");
  setWords(words);
  $("words").focus();
}

function setWords(words) {
  $("words").value = words;
  $("words").setSelectionRange(words.length, words.length);
  grow();
  completion.close();
}

function grow() {
  const field = $("words");
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 200)}px`;
}

// Completion

/** Words and quotations with where they begin. */
function tokens(/** @type {string} */ text) {
  return [...text.matchAll(/"[^"]*"?|\S+/g)].map((found) => ({ text: found[0], start: found.index }));
}

/** The options of a command, and what it is about: said without a flag. */
function optionsOf(/** @type {Command} */ command) {
  return command.parameters.filter((one) => one.flags.length);
}

function spokenOf(/** @type {Command|undefined} */ command) {
  return command?.parameters.find((one) => !one.flags.length);
}

/** Whether its value may be several words: a text, a list, a name such as "DPM++ 2M Karras". */
function takesWords(/** @type {Parameter} */ { type }) {
  return ["text", "loras", "choice", "size"].includes(type);
}

function noted(/** @type {Parameter} */ parameter) {
  const usual = parameter.default || parameter.otherwise;
  return [allowed(parameter), usual ? `else ${usual}` : ""].filter(Boolean).join(" · ");
}

/** The name of the command that a line begins with, which may have two words. */
function nameIn(/** @type {string} */ text) {
  const [, first = "", second = ""] = /^\/(\S+)(?:\s+([a-z]+)(?!\S))?/i.exec(text) ?? [];
  const both = `${first} ${second}`.toLowerCase();
  return state.commands.has(both) ? both : first.toLowerCase();
}

/** What stands at the caret: a command's name, an option, or the value of one.
 * @returns {{kind: string, typed: string, start: number, command?: Command, parameter?: Parameter, used?: Set<string>}|null} */
function atCaret(/** @type {string} */ text) {
  const typed = text.slice(1).toLowerCase();
  const naming = /^\/\S*$/.test(text) || (/^\/\S+ [a-z]*$/i.test(text) && [...state.commands.keys()].some((name) => name.includes(" ") && name.startsWith(typed)) && !state.commands.has(typed.trim()));
  if (naming) return { kind: "command", typed: text.slice(1), start: 0 };
  const command = state.commands.get(nameIn(text));
  if (!command) return null;
  const tag = /<lora:([^<>:]*)$/i.exec(text);
  const loras = command.parameters.find((one) => one.type === "loras");
  if (tag && loras) return { kind: "tag", typed: tag[1], start: text.length - tag[1].length, command, parameter: loras };
  const words = tokens(text).slice(command.name.split(" ").length);
  const spaced = /\s$/.test(text) && !(words.at(-1)?.text ?? "").match(/^"[^"]*$/);
  const last = spaced || !words.length ? { text: "", start: text.length } : words.pop();
  const known = new Map(optionsOf(command).flatMap((one) => one.flags.map((flag) => [flag, one])));
  const used = new Set(words.map((word) => known.get(word.text)?.name).filter(Boolean));
  const flag = words.findLastIndex((word) => known.has(word.text));
  const asked = known.get(words[flag]?.text);
  const alone = flag === words.length - 1;
  const start = (words[flag + 1] ?? last).start; // names and lists go on over spaces
  if (asked && !last.text.startsWith("--") && (alone || takesWords(asked))) return { kind: "value", typed: text.slice(start).replace(/^"/, ""), start, command, parameter: asked };
  if (last.text.startsWith("--")) {
    const [flag, value] = last.text.split(/=(.*)/s);
    if (value === undefined) return { kind: "option", typed: last.text, start: last.start, command, used };
    if (known.has(flag)) return { kind: "value", typed: value.replace(/^"/, ""), start: last.start + flag.length + 1, command, parameter: known.get(flag) };
  }
  return { kind: "value", typed: last.text, start: last.start, command, parameter: spokenOf(command) };
}

/** What could stand there, best first: the text to insert, and what it says about itself. */
async function offers(at) {
  const typed = at.typed.toLowerCase();
  const begins = (name) => name.toLowerCase().startsWith(typed);
  if (at.kind === "command") {
    return [...state.commands.values()].filter(({ name }) => begins(name)).map((one) => ({ insert: `/${one.name} `, name: `/${one.name}`, about: one.help, range: "" }));
  }
  if (at.kind === "option") {
    return optionsOf(at.command).filter((one) => one.repeated || !at.used.has(one.name)).flatMap((one) => {
      const flag = one.flags.find((name) => name.startsWith(typed));
      return flag ? [{ insert: `${flag} `, name: flag, about: one.help, range: noted(one) }] : [];
    });
  }
  const parameter = at.parameter;
  if (!parameter) return [];
  if (parameter.type === "loras") return offerLoras(at);
  return [...parameter.choices, ...parameter.names].filter(begins).map((one) => ({ insert: `${one.includes(" ") ? `"${one}"` : one} `, name: one, about: "", range: "" }));
}

async function offerLoras(at) {
  const [, before, like] = /^(.*[,\s])?([^,\s]*)$/s.exec(at.typed) ?? [];
  if (like.includes(":")) return [];
  const found = await findLoras(state.channel, like.trim());
  return found.map(({ name, phrase }) => ({ insert: `${before ?? ""}${name}:`, name, about: phrase || "LoRA", range: "weight -2 to 2" }));
}

const completion = {
  /** @type {{insert: string, name: string, about: string, range: string}[]} */ items: [],
  at: null,
  active: 0,
  turn: 0,

  get open() {
    return this.items.length > 0;
  },

  async look() {
    const field = $("words");
    const turn = ++this.turn;
    const at = field.selectionStart === field.selectionEnd ? atCaret(field.value.slice(0, field.selectionStart)) : null;
    showHint(at);
    const items = at ? await offers(at).catch(() => []) : [];
    if (turn !== this.turn) return;
    Object.assign(this, { at, items, active: 0 });
    this.show();
  },

  show() {
    const list = $("completions");
    list.replaceChildren(
      ...this.items.map((item, nth) =>
        el(
          "div",
          { class: "option", role: "option", id: `option-${nth}`, "aria-selected": String(nth === this.active), onpointerdown: (event) => this.pick(event, nth) },
          el("b", {}, item.name),
          el("span", { class: "about" }, item.about),
          item.range ? el("span", { class: "range" }, item.range) : null,
        ),
      ),
    );
    list.hidden = !this.open;
    $("words").setAttribute("aria-expanded", String(this.open));
    if (this.open) $("words").setAttribute("aria-activedescendant", `option-${this.active}`);
    else $("words").removeAttribute("aria-activedescendant");
    list.children[this.active]?.scrollIntoView({ block: "nearest" });
  },

  move(step) {
    this.active = (this.active + step + this.items.length) % this.items.length;
    this.show();
  },

  pick(event, nth) {
    event.preventDefault();
    this.active = nth;
    this.take();
  },

  take() {
    const field = $("words");
    const item = this.items[this.active];
    const rest = field.value.slice(field.selectionStart);
    const before = field.value.slice(0, this.at.start) + item.insert;
    field.value = before + rest.replace(/^\s+/, "");
    field.setSelectionRange(before.length, before.length);
    grow();
    this.look();
  },

  /** Whether what is typed is already all of the active offer. */
  get complete() {
    const name = this.items[this.active].name.toLowerCase();
    return name === this.at.typed.toLowerCase() || name === `/${this.at.typed.toLowerCase()}`;
  },

  close() {
    this.turn += 1;
    this.items = [];
    this.show();
    showHint(null);
  },
};

function showHint(at) {
  const parameter = at?.kind === "option" ? null : at?.parameter;
  const hint = $("hint");
  hint.classList.toggle("usual", !at?.command);
  if (parameter?.flags.length) {
    hint.replaceChildren(el("b", {}, parameter.flags[0]), ` ${[parameter.help, noted(parameter)].filter(Boolean).join(" · ")}`);
  } else if (at?.command) {
    const flags = optionsOf(at.command).map((one) => one.flags[0]).join(" ");
    hint.replaceChildren(el("b", {}, `/${at.command.name}`), ` ${spokenOf(at.command)?.name ?? ""} ${flags}`);
  } else {
    hint.replaceChildren(el("b", {}, "/"), " lists the commands · ", el("b", {}, "Enter"), " sends · ", el("b", {}, "Shift+Enter"), " breaks the line");
  }
}

function onKey(/** @type {KeyboardEvent} */ event) {
  if (event.isComposing) return;
  const { key } = event;
  const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
  if (completion.open && plain && (key === "ArrowDown" || key === "ArrowUp")) completion.move(key === "ArrowDown" ? 1 : -1);
  else if (completion.open && plain && key === "Tab") completion.take();
  else if (completion.open && plain && key === "Enter" && !completion.complete) completion.take();
  else if (completion.open && key === "Escape") completion.close();
  else if (key === "Enter" && plain) send();
  else if (key === "ArrowUp" && plain && (!$("words").value || sent.at !== null)) recall(-1);
  else if (key === "ArrowDown" && plain && sent.at !== null) recall(1);
  else return;
  event.preventDefault();
}

// Forms

async function openForm(name, values = {}, note = "") {
  await define().catch(() => null); // my defaults may be others by now; without a connection the old ones do
  const command = state.commands.get(name);
  if (!command) return;
  const pictures = command.parameters.find((one) => one.type === "pictures");
  const given = pictures && !values[pictures.name] && tray.sent.length ? { [pictures.name]: JSON.stringify(tray.sent) } : {};
  showForm(command, { ...values, ...given }, async (filled) => {
    const reply = await fill(name, filled);
    if (!reply.ok) return reply.text;
    if (pictures) tray.clear();
    setWords("");
    showView("chat");
    takeReply(reply, `/${name}`);
    return "";
  });
  if (note) $("form-about").textContent = note;
}

async function fill(/** @type {string} */ command, /** @type {Record<string, string>} */ values) {
  return (await wire.ask({ fill: { command, values } })).reply;
}

function formForWords() {
  const name = nameIn($("words").value);
  const command = state.commands.get(name) ?? state.commands.get("imagine");
  const rest = $("words").value.replace(/^\/\S+\s*/, "").replace(name.includes(" ") ? /^\S+\s*/ : "", "");
  const spoken = spokenOf(command);
  openForm(command?.name, spoken && rest && !/(^|\s)--\w/.test(rest) ? { [spoken.name]: rest } : {});
}

// The lightbox

const lightbox = {
  /** Pictures of cards, or others that say by `about` and `name` what they are. @type {any[]} */ list: [],
  at: 0,

  openCard(job, place) {
    const views = [...state.cards.values()].sort((a, b) => a.card.number - b.card.number);
    const list = views.flatMap(({ card }) => card.pictures.map((picture) => ({ ...picture, title: card.title, job: card.job, channel: card.channel })));
    this.open(list, list.findIndex((one) => one.job === job && one.place === place));
  },

  open(list, at) {
    Object.assign(this, { list, at });
    $("lightbox").showModal();
    this.show();
  },

  step(by) {
    if (!this.list[this.at + by]) return;
    this.at += by;
    this.show();
  },

  show() {
    const one = this.list[this.at];
    const image = $("large");
    const room = Math.min(window.innerWidth - 160, window.innerHeight - 240);
    const { wide, crisp } = fitted(one, Math.max(room, 280));
    image.className = crisp ? "pixels" : "";
    image.style.width = crisp ? `${wide}px` : "";
    image.src = one.url;
    image.alt = one.title;
    $("left").hidden = this.at === 0;
    $("right").hidden = this.at === this.list.length - 1;
    const tools = el("div", { class: "tools" }, el("a", { href: one.url, download: one.name ?? `${one.job}-${one.place}.png` }, icon("down"), "Download"));
    if (one.channel && state.view !== "chat") tools.append(el("button", { type: "button", onclick: () => this.toChannel(one) }, icon("right"), `Show in # ${one.channel}`));
    const about = one.about ?? `${one.width} × ${one.height} · seed ${one.seed}`;
    $("caption").replaceChildren(el("p", { class: "title" }, one.title), el("p", { class: "small" }, `${about} · ${this.at + 1} of ${this.list.length}`), tools);
    if (one.recipe) this.tell(one, tools);
  },

  /** The recipe of this picture alone, where there is one. */
  async tell(one, tools) {
    const response = await fetch(one.recipe).catch(() => null);
    if (!response?.ok) return;
    const { rows, command } = await response.json();
    const recipe = facts(rows);
    recipe.hidden = true;
    tools.append(
      el("button", { type: "button", "aria-expanded": "false", onclick: (event) => unfold(event.currentTarget, recipe) }, icon("form"), "Recipe"),
      el("button", { type: "button", onclick: () => copy(command) }, icon("copy"), "Copy command"),
    );
    tools.after(recipe);
  },

  async toChannel(one) {
    $("lightbox").close();
    await goTo(one.channel);
    await callCard(one.job).catch((error) => notice({ text: error.message, ok: false }));
  },
};

function unfold(button, part) {
  part.hidden = !part.hidden;
  button.setAttribute("aria-expanded", String(!part.hidden));
}

// The gallery

const gallery = { list: [], before: "" };

function showView(/** @type {string} */ view) {
  state.view = view;
  const chat = view === "chat";
  $("gallery").hidden = view !== "mine" && view !== "kept";
  $("loras").hidden = view !== "loras";
  for (const id of ["scroll", "composer"]) $(id).hidden = !chat;
  $("to-bottom").hidden = true;
  $("where").textContent = chat ? `# ${state.channel}` : view === "loras" ? `LoRAs in # ${state.channel}` : "Gallery";
  showChannels();
  if (chat) toBottom();
}

async function openGallery(/** @type {string} */ which) {
  foldSide();
  showView(which);
  for (const tab of $("gallery").querySelectorAll("[role=tab]")) {
    tab.setAttribute("aria-selected", String(tab.dataset.gallery === which));
    tab.tabIndex = tab.dataset.gallery === which ? 0 : -1;
  }
  Object.assign(gallery, { list: [], before: "" });
  $("pictures").setAttribute("aria-labelledby", `tab-${which}`);
  $("pictures").replaceChildren();
  await morePictures();
}

async function morePictures() {
  const which = state.view;
  const response = await fetch(`/gallery?starred=${which === "kept" ? 1 : 0}&before=${gallery.before}`).catch(() => null);
  if (which !== state.view) return;
  if (!response?.ok) {
    $("pictures").append(el("p", { class: "nothing" }, "The gallery cannot be read right now."));
    return;
  }
  const { pictures, more } = await response.json();
  const first = gallery.list.length;
  gallery.list.push(...pictures);
  gallery.before = pictures.at(-1)?.id ?? "";
  $("pictures").append(...pictures.map((one, nth) => tile(one, first + nth)));
  $("more").hidden = !more;
  if (!gallery.list.length) $("pictures").append(el("p", { class: "nothing" }, which === "kept" ? "Press ⭐ under a picture, and it is kept here." : "What you paint is collected here."));
}

/** What covers a picture that the safety check has flagged, until somebody wants to see it. */
function uncovering(/** @type {HTMLElement} */ covered) {
  const uncover = (event) => {
    covered.classList.remove("covered");
    event.currentTarget.remove();
  };
  return el("button", { class: "cover", type: "button", onclick: uncover }, icon("eye"), "Filtered: show it");
}

function tile(picture, nth) {
  const crisp = Math.max(picture.width, picture.height) <= 160;
  const image = el("img", { src: picture.thumb, alt: "", loading: "lazy", class: crisp ? "pixels" : null });
  const name = picture.title || `Picture ${picture.job}`;
  return el("button", { class: picture.hidden ? "tile covered" : "tile", type: "button", "aria-label": `Open: ${name}`, onclick: () => lightbox.open(gallery.list, nth) }, image, el("span", { "aria-hidden": "true" }, name));
}

// The LoRAs that are here

const loras = new Loras({
  channel: () => state.channel,
  fill,
  say: sayNext,
  teach: () => openForm("train"),
  bring: () => openForm("lora import"),
  show: async (job) => {
    showView("chat");
    if (!(await callCard(job).catch(() => false))) mention("its training is not in this channel.");
  },
});

function openLoras() {
  foldSide();
  showView("loras");
  loras.load();
}

// Pictures to send

/** The form that paints like a picture of which this is the recipe; one that is none is just a picture. */
async function paintLike(/** @type {string} */ recipe) {
  const { reply } = await wire.ask({ recipe });
  if (reply.ok && !document.querySelector("dialog[open]")) takeReply(reply, "");
}

const tray = new Tray($("chips"), {
  changed: ({ sent }) => ($("teach-these").hidden = !sent.length || !state.commands.has("train")),
  carried: (recipe) => paintLike(recipe).catch((error) => notice({ text: error.message, ok: false })),
});

/** Pictures go to the form that asks for some, else beside the message. */
function addPictures(/** @type {Iterable<File>} */ files) {
  (trayOfForm() ?? tray).add([...files]);
}

function takeDrops() {
  let inside = 0;
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  const over = (step) => (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    inside = Math.max(0, inside + step);
    document.body.classList.toggle("dropping", inside > 0);
    $("drop").hidden = inside === 0 || Boolean(document.querySelector("dialog[open]"));
  };
  addEventListener("dragenter", over(1));
  addEventListener("dragleave", over(-1));
  addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    inside = 0;
    document.body.classList.remove("dropping");
    $("drop").hidden = true;
    addPictures(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => event.clipboardData?.files.length && addPictures(event.clipboardData.files));
}

// Light, dark, the side bar, and the start

const THEMES = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
const systemDark = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  const theme = memory.get("theme", "auto");
  document.documentElement.dataset.theme = theme === "auto" ? (systemDark.matches ? "dark" : "light") : theme;
  $("theme").setAttribute("aria-label", THEMES[theme]);
  $("theme").title = THEMES[theme];
  $("theme").replaceChildren(icon(theme));
}

function nextTheme() {
  const names = Object.keys(THEMES);
  memory.set("theme", names[(names.indexOf(memory.get("theme", "auto")) + 1) % names.length]);
  showTheme();
}

function foldSide(out = false) {
  $("side").classList.toggle("out", out);
  $("veil").hidden = !out;
  if (out) $("channels").querySelector("button")?.focus();
  else if ($("side").contains(document.activeElement) && getComputedStyle($("menu")).display !== "none") $("menu").focus();
  $("menu").setAttribute("aria-expanded", String(out));
}

function onPageKey(/** @type {KeyboardEvent} */ event) {
  const typing = /^(input|textarea|select)$/i.test(document.activeElement?.tagName ?? "");
  const dialog = document.querySelector("dialog[open]");
  if (event.key === "Escape" && !dialog) foldSide();
  if (dialog === $("lightbox") && event.key.startsWith("Arrow")) lightbox.step(event.key === "ArrowLeft" || event.key === "ArrowUp" ? -1 : 1);
  if (event.key === "/" && !typing && !dialog && state.view === "chat") {
    event.preventDefault();
    $("words").focus();
  }
}

function listen() {
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  $("words").addEventListener("keydown", onKey);
  $("words").addEventListener("input", () => {
    sent.at = null;
    grow();
    completion.look();
  });
  $("words").addEventListener("click", () => completion.look());
  $("words").addEventListener("blur", () => completion.close());
  $("attach").onclick = () => $("files").click();
  $("files").onchange = (event) => tray.add([...event.target.files]).then(() => (event.target.value = ""));
  $("teach-these").onclick = () => openForm("train");
  $("open-loras").onclick = openLoras;
  $("open-form").onclick = formForWords;
  $("scroll").addEventListener("scroll", onScroll, { passive: true });
  $("older").onclick = loadOlder;
  $("to-bottom").onclick = toBottom;
  $("more").onclick = morePictures;
  $("me").onclick = askName;
  $("rename").querySelector("form").onsubmit = saveName;
  $("theme").onclick = nextTheme;
  $("menu").onclick = () => foldSide(!$("side").classList.contains("out"));
  $("veil").onclick = () => foldSide();
  $("left").onclick = () => lightbox.step(-1);
  $("right").onclick = () => lightbox.step(1);
  $("lightbox").addEventListener("click", (event) => event.target.matches("dialog, figure") && $("lightbox").close());
  for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  for (const button of document.querySelectorAll("[data-gallery]")) button.addEventListener("click", () => openGallery(button.dataset.gallery));
  systemDark.addEventListener("change", showTheme);
  document.addEventListener("keydown", onPageKey);
  document.addEventListener("visibilitychange", () => document.hidden || (wire.hurry(), markRead(), showChannels()));
  addEventListener("online", () => wire.hurry());
  new ResizeObserver(stick).observe($("feed"));
  takeDrops();
}

showTheme();
showWelcome();
showHint(null);
listen();
wire.connect();
