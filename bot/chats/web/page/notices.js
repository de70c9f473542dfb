// Notices in the timeline: answers for me alone, errors, and the welcome of an empty channel.

import { suggestMessage } from "./composer.js";
import { $, el, icon, iconButton } from "./dom.js";
import { announce } from "./feedback.js";
import { plural } from "./format.js";
import { loraStrip } from "./loras.js";
import { state } from "./state.js";
import { scrollToNewest } from "./views.js";

const EXAMPLES = [
  ["A star above a circle", "/imagine a red star above a blue circle on a white background"],
  ["Four hearts", "/imagine a large green heart on a black background --count 4"],
  ["A wide picture", "/imagine a yellow triangle on a blue background --size 3:2 --steps 20"],
  ["All commands", "/help"],
];

/** An answer for me alone, at the end of the timeline; `echo` is what it answers. */
export function addNotice({ text = "", ok = true, echo = "", files = [], loras = [], drawn = [] }) {
  const node = el(
    "article",
    { class: ok ? "notice" : "notice error", "aria-label": "Only you can see this" },
    el("p", { class: "private" }, icon("eye"), "Only you can see this"),
    iconButton("close", "Dismiss", () => {
      node.remove();
      drawWelcome();
      $("message").focus();
    }),
    echo ? el("p", { class: "echo" }, echo) : null,
    text && loras.length < 2 ? el("div", { class: "text" }, ...textColumns(text)) : null,
    loras.length ? loraStrip(loras, suggestMessage) : null,
    ...drawn.map(({ name, url }) => sheet(url, `${name}: the text above as a chart`)),
    ...files.filter(({ name }) => loras.length && name.endsWith(".png")).map(({ name, url }) => sheet(url, name)),
    files.length ? el("div", { class: "files" }, ...files.map(({ name, url }) => el("a", { href: url, download: name }, icon("down"), name))) : null,
  );
  $("feed").append(node);
  drawWelcome();
  announce(text || `${plural(files.length, "file")} for you`);
  scrollToNewest();
}

export function showError(/** @type {string} */ text, echo = "") {
  addNotice({ text, ok: false, echo });
}

function sheet(/** @type {string} */ url, /** @type {string} */ alt) {
  return el("img", { class: "lora-sheet", src: url, alt });
}

/** Text as it is, but lines such as "  --steps   denoising steps" stand in two columns. */
function textColumns(/** @type {string} */ text) {
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

/** The welcome stands where nothing else does. */
export function drawWelcome() {
  $("welcome").hidden = state.cards.size > 0 || $("feed").childElementCount > 0;
  if ($("welcome").childElementCount) return;
  const examples = EXAMPLES.map(([name, message]) =>
    el("button", { type: "button", onclick: () => suggestMessage(message) }, el("b", {}, name), el("span", {}, message)),
  );
  $("welcome").replaceChildren(
    document.querySelector(".brand .mark").cloneNode(true),
    el("h2", {}, "Nothing here yet"),
    el("p", {}, "Say what you want to see, and watch it appear. Everybody in this channel sees it too."),
    el("div", { class: "examples" }, ...examples),
  );
}
