// What all parts of the page are made of; it knows nothing of cards or channels.

/** @returns {any} */
export const $ = (/** @type {string} */ id) => document.getElementById(id);

/** An element with its properties and children; strings become text, never markup. */
export function el(/** @type {string} */ tag, /** @type {Record<string, any>} */ props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function icon(/** @type {string} */ name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function tool(name, label, onclick) {
  return el("button", { class: "tool", type: "button", title: label, "aria-label": label, onclick }, icon(name));
}

/** What this browser remembers; a browser that forbids it only forgets. */
export const memory = {
  get(key, otherwise) {
    try {
      return JSON.parse(localStorage.getItem(`atelier:${key}`) ?? "null") ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`atelier:${key}`, JSON.stringify(value));
    } catch {
      // private windows have no room
    }
  },
};

export function announce(/** @type {string} */ words) {
  $("announcer").textContent = words;
}

/** A word in passing, that needs no answer. */
export function mention(/** @type {string} */ words) {
  announce(words);
  $("toast").textContent = words[0].toUpperCase() + words.slice(1);
  $("toast").hidePopover();
  $("toast").showPopover(); // above every dialog that is open
  clearTimeout(mention.timer);
  mention.timer = setTimeout(() => $("toast").hidePopover(), 3000);
}
mention.timer = 0;

/** "1 picture", "3 pictures". */
export function counted(/** @type {number} */ number, /** @type {string} */ one, plural = `${one}s`) {
  return `${number} ${number === 1 ? one : plural}`;
}

export async function copy(/** @type {string} */ words) {
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    const field = el("textarea", { class: "hidden" });
    field.value = words;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  mention("Copied.");
}

export function when(/** @type {number} */ at) {
  const then = new Date(at * 1000);
  const today = then.toDateString() === new Date().toDateString();
  const day = today ? {} : { day: "numeric", month: "short" };
  return then.toLocaleString([], { hour: "2-digit", minute: "2-digit", ...day });
}

export function paintAvatar(node, name, key) {
  node.textContent = (name.replace(/^guest-/, "").at(0) ?? "?").toUpperCase();
  node.style.setProperty("--hue", String(parseInt(key.slice(0, 6) || "0", 16) % 360));
}

export function facts(/** @type {[string, string][]} */ rows) {
  return el("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** How wide to show a picture: small ones a whole number of times larger, so that pixels stay crisp. */
export function fitted({ width, height }, longest) {
  const times = longest / Math.max(width, height);
  return times >= 2 ? { wide: width * Math.floor(times), crisp: true } : { wide: Math.round(width * times), crisp: false };
}

/** What cannot be undone is pressed twice. */
export function asked(node, words = "Press again to delete") {
  if (node.dataset.sure) return true;
  const before = [...node.childNodes];
  node.dataset.sure = "1";
  node.replaceChildren(words);
  announce(words);
  setTimeout(() => {
    delete node.dataset.sure;
    node.replaceChildren(...before);
  }, 4000);
  return false;
}


/** Draw a part of a view again only when what it shows has changed; the focus stays on the same button. */
export function once(/** @type {{node: HTMLElement, shown?: Map<string, string>}} */ view, /** @type {string} */ part, shows, draw) {
  view.shown ??= new Map();
  const now = JSON.stringify(shows);
  if (view.shown.get(part) === now) return;
  view.shown.set(part, now);
  const focused = view.node.contains(document.activeElement) ? document.activeElement : null;
  const name = focused?.getAttribute("data-press");
  draw();
  if (name) view.node.querySelector(`[data-press="${CSS.escape(name)}"]`)?.focus();
}

/** Words to copy, with what else can be done with them. */
export function copyable(/** @type {string} */ words, /** @type {string} */ label, ...others) {
  return el("div", { class: "command" }, el("code", {}, words), ...others, tool("copy", label, () => copy(words)));
}
