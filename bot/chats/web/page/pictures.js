// Pictures on their way to the bot: dropped, chosen or pasted; a zip becomes the pictures in it.

import { announce, counted, el, icon, memory, tool } from "./parts.js";

/** @typedef {{sha256: string, name: string, caption: string, width?: number, height?: number, recipe?: string}} Sent */

const LARGEST_PICTURE = 20 * 2 ** 20; // bytes, as the server takes them
const AT_ONCE = 3; // files under way
const MOST = 50; // pictures in a training
const LONGEST_CAPTION = 1000;
const KINDS = "image/png,image/jpeg,image/webp,application/zip,.zip,.txt,.caption,.jfif,.jpe";

const isZip = (/** @type {File} */ file) => /\.zip$/i.test(file.name) || /zip/.test(file.type);
const TEXT = /\.(txt|caption)$/i; // a.txt, a.caption and a.png.txt are all of a.png
const ENDING = /\.(png|jpe?g|jfif|jpe|webp)$/i;
const isText = (/** @type {File} */ file) => TEXT.test(file.name);
const stem = (/** @type {string} */ name) => name.replace(/^.*\//, "").replace(TEXT, "").replace(ENDING, "").normalize("NFC").toLowerCase();

/** What stands in a text file: in UTF-8, in UTF-16 as Windows writes it, or in Windows-1252. */
function written(/** @type {Uint8Array} */ bytes) {
  const wide = (bytes[0] === 0xff && bytes[1] === 0xfe) || bytes[1] === 0 ? "utf-16le" : (bytes[0] === 0xfe && bytes[1] === 0xff) || bytes[0] === 0 ? "utf-16be" : "";
  if (wide) return new TextDecoder(wide).decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** One picture of a tray: where it is shown, and what the bot knows of it once it is sent. */
class Item {
  constructor(/** @type {Tray} */ tray, /** @type {string} */ name, /** @type {string} */ address) {
    this.tray = tray;
    this.address = address;
    /** @type {Sent|null} */ this.sent = null;
    this.said = el("span", {}, "Checking…");
    this.caption = el("input", { class: "caption", "aria-label": `Caption of ${name}`, placeholder: "Caption", maxlength: LONGEST_CAPTION, oninput: () => tray.changed() });
    this.caption.hidden = true;
    this.image = el("img", { src: address || null, alt: "", onerror: (event) => event.target.removeAttribute("src") });
    this.node = el(
      "li",
      { class: "chip", "data-is": "waiting" },
      this.image,
      el("div", { class: "about" }, el("b", { title: name }, name), this.said),
      this.caption,
      tool("close", `Remove ${name}`, () => tray.remove(this)),
    );
    this.name = name;
    this.alone = false; // it came without others
  }

  /** The bot has it. */
  take(/** @type {Sent} */ sent) {
    this.sent = sent;
    this.node.dataset.is = "sent";
    this.said.textContent = sent.width ? `${sent.width} × ${sent.height}` : "";
    if (!this.address) this.image.src = `/uploads/${sent.sha256}.webp`;
    this.caption.value ||= sent.caption;
    this.caption.hidden = !this.tray.captions;
  }

  refuse(/** @type {string} */ reason) {
    this.node.dataset.is = "refused";
    this.said.textContent = reason;
    announce(`${this.name}: ${reason}`);
  }

  forget() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.node.remove();
  }
}

/** A list of pictures that grows by files; `changed` is called whenever what it holds is another. */
export class Tray {
  constructor(/** @type {HTMLElement} */ list, { captions = false, changed = () => {}, carried = (/** @type {string} */ _) => {} } = {}) {
    this.list = list;
    this.captions = captions;
    this.tell = changed;
    this.carried = carried; // is told the recipe of a picture that comes alone and carries one
    /** @type {Set<Item>} */ this.items = new Set();
    /** @type {[File, Item][]} */ this.line = [];
    /** @type {Map<string, string>} */ this.texts = new Map(); // captions that came as files, by the picture's name
    this.sending = 0;
  }

  /** The pictures that the bot has, in their order. @returns {Sent[]} */
  get sent() {
    return [...this.items].flatMap((item) => (item.sent ? [{ ...item.sent, caption: item.caption.value.trim() }] : []));
  }

  /** Whether some are still under way. */
  get waiting() {
    return this.sending + this.line.length > 0;
  }

  async add(/** @type {Iterable<File>} */ files) {
    const all = [...files];
    for (const file of all) {
      if (this.captions && isText(file)) await this.#read(file);
      else this.#start(file, all.length === 1);
    }
    this.changed();
  }

  /** Pictures that the bot has already. */
  put(/** @type {Sent[]} */ pictures) {
    for (const one of pictures) this.#append(new Item(this, one.name || "picture", "")).take(one);
    this.changed();
  }

  remove(/** @type {Item} */ item) {
    this.items.delete(item);
    this.line = this.line.filter(([, one]) => one !== item);
    item.forget();
    this.changed();
  }

  clear() {
    for (const item of this.items) item.forget();
    this.items.clear();
    this.line = [];
    this.changed();
  }

  changed() {
    this.list.hidden = !this.items.size;
    this.tell(this);
  }

  async #read(/** @type {File} */ file) {
    const words = written(new Uint8Array(await file.arrayBuffer())).trim().slice(0, LONGEST_CAPTION);
    this.texts.set(stem(file.name), words);
    for (const item of this.items) if (stem(item.name) === stem(file.name)) item.caption.value = words;
  }

  #start(/** @type {File} */ file, /** @type {boolean} */ alone) {
    const item = this.#append(new Item(this, file.name, isZip(file) ? "" : URL.createObjectURL(file)));
    item.alone = alone;
    item.caption.value = this.texts.get(stem(file.name)) ?? "";
    if (!isZip(file) && file.size > LARGEST_PICTURE) {
      item.refuse("larger than 20 MB: send a smaller one.");
      return;
    }
    this.line.push([file, item]);
    this.#next();
  }

  #append(/** @type {Item} */ item) {
    this.items.add(item);
    this.list.append(item.node);
    return item;
  }

  #next() {
    while (this.sending < AT_ONCE && this.line.length) {
      const [file, item] = this.line.shift();
      this.sending += 1;
      this.#send(file, item).finally(() => {
        this.sending -= 1;
        this.#next();
        this.changed();
      });
    }
  }

  async #send(/** @type {File} */ file, /** @type {Item} */ item) {
    try {
      const response = await fetch(`/uploads?${new URLSearchParams({ name: file.name, channel: memory.get("channel", "") })}`, { method: "POST", body: file });
      if (!response.ok) throw new Error(await response.text());
      const { pictures, refused } = await response.json();
      if (!this.items.has(item)) return;
      if (isZip(file)) this.#unpack(item, pictures, refused);
      else {
        item.take(pictures[0]);
        if (item.alone && pictures[0].recipe) this.carried(pictures[0].recipe);
      }
    } catch (error) {
      item.refuse(error.message || "it could not be sent.");
    }
  }

  #unpack(/** @type {Item} */ zip, /** @type {Sent[]} */ pictures, /** @type {{name: string, reason: string}[]} */ refused) {
    this.put(pictures);
    for (const { name, reason } of refused) this.#append(new Item(this, name || zip.name, "")).refuse(reason);
    this.remove(zip);
    announce(`${counted(pictures.length, "picture")} in ${zip.name}`);
  }
}

/** The field of a form that takes pictures; its value is a list of them as JSON text. */
export function picturesField(/** @type {{name: string, label: string, help: string}} */ parameter, /** @type {string} */ id, /** @type {string} */ value) {
  const carrier = el("input", { type: "hidden", name: parameter.name });
  const count = el("span", { class: "allowed", "aria-live": "polite" });
  const list = el("ul", { class: "tiles", "aria-label": "Pictures to learn from" });
  const files = el("input", { type: "file", accept: KINDS, multiple: true, hidden: true, onchange: () => take(files.files) });
  const invitation = el("b");
  const zone = el(
    "button",
    { class: "zone", type: "button", id, "aria-describedby": `${id}-help`, onclick: () => files.click() },
    icon("pictures"),
    invitation,
    el("small", { id: `${id}-help` }, `PNG, JPEG or WebP, up to ${MOST}; a zip works too, with captions in name.txt`),
  );
  const tray = new Tray(list, {
    captions: true,
    changed: (/** @type {Tray} */ { sent, waiting, items }) => {
      carrier.value = sent.length ? JSON.stringify(sent.map(({ sha256, name, caption }) => ({ sha256, name, caption }))) : "";
      carrier.dataset.waiting = waiting ? "true" : "";
      count.textContent = waiting ? "sending…" : sent.length ? counted(sent.length, "picture") : "";
      count.classList.toggle("over", sent.length > MOST);
      if (sent.length > MOST) count.textContent += `: at most ${MOST}`;
      zone.classList.toggle("more", items.size > 0);
      invitation.textContent = items.size ? "Add more" : "Drop pictures here, paste them, or choose files";
      if (items.size) list.append(zoneItem);
      else field.insertBefore(zone, list);
      if (items.size) zoneItem.append(zone);
    },
  });
  const zoneItem = el("li", { class: "zone-item" });
  const take = (found) => tray.add([...found]).then(() => (files.value = ""));
  const field = el("div", { class: "field wide" }, el("label", { for: id }, parameter.label, count), zone, list, files, carrier);
  tray.changed();
  tray.put(readValue(value));
  return { field, tray };
}

function readValue(/** @type {string} */ value) {
  try {
    const read = JSON.parse(value || "[]");
    return Array.isArray(read) ? read : [];
  } catch {
    return [];
  }
}
