// Elements of the page: found, made, and drawn again. Knows nothing of cards or channels.

/** @returns {any} */
export const $ = (/** @type {string} */ id) => document.getElementById(id);

/** An element with its properties and children; strings become text, never markup. */
export function el(/** @type {string} */ tag, /** @type {Record<string, any>} */ props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "style") for (const [property, text] of Object.entries(value)) node.style.setProperty(property, text);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A symbol of index.html. */
export function icon(/** @type {string} */ name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function iconButton(name, label, onclick) {
  return el("button", { class: "tool", type: "button", title: label, "aria-label": label, onclick }, icon(name));
}

/** Names with their values, in two columns. */
export function factList(/** @type {[string, string][]} */ rows) {
  return el("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** A circle with somebody's first letter, in a colour of their own. */
export function drawAvatar(node, /** @type {string} */ name, /** @type {string} */ key) {
  node.textContent = (name.replace(/^guest-/, "").at(0) ?? "?").toUpperCase();
  node.style.setProperty("--hue", String(parseInt(key.slice(0, 6) || "0", 16) % 360));
}

/** Draw a part of a view again only when what it shows has changed; the focus stays on the same button. */
export function drawIfChanged(/** @type {{node: HTMLElement, drawn?: Map<string, string>}} */ view, /** @type {string} */ part, content, draw) {
  view.drawn ??= new Map();
  const json = JSON.stringify(content);
  if (view.drawn.get(part) === json) return;
  view.drawn.set(part, json);
  const focused = view.node.contains(document.activeElement) ? document.activeElement : null;
  const name = focused?.getAttribute("data-press");
  draw();
  if (name) view.node.querySelector(`[data-press="${CSS.escape(name)}"]`)?.focus();
}

/** Small pictures show their pixels, once it is known that they are small. */
export function sharpenWhenSmall(/** @type {HTMLImageElement} */ image) {
  image.onload = () => image.classList.toggle("pixels", image.naturalWidth <= 160);
  return image;
}

/** Make a text field as high as what stands in it, within limits. */
export function fitHeight(/** @type {HTMLTextAreaElement} */ field, highest = 200) {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, highest)}px`;
}
