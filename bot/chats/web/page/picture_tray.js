// A tray of pictures that are sent to the bot, with captions; a zip becomes the pictures in it.

import { el, iconButton } from "./dom.js";
import { announce } from "./feedback.js";
import { pathOf } from "./folders.js";
import { plural } from "./format.js";
import { state } from "./state.js";

/** @typedef {{sha256: string, name: string, caption: string, width?: number, height?: number, recipe?: string,
 *   repeats?: number, concept?: string, regularization?: boolean, mask?: string}} Sent */

const LARGEST_PICTURE = 20 * 2 ** 20; // bytes, as the server takes them
const LARGEST_ZIP = 2 * 2 ** 30;
const AT_ONCE = 3; // files under way
const LONGEST_CAPTION = 10_000;

const isZip = (/** @type {File} */ file) => /\.zip$/i.test(file.name) || /zip/.test(file.type);
const TEXT = /\.(txt|caption)$/i; // a.txt, a.caption and a.png.txt are all of a.png
const TABLE = /\.(csv|jsonl)$/i; // captions by file name, which the bot reads
const ENDING = /\.(png|jpe?g|jfif|jpe|webp|avif|hei[cf])$/i;
const isText = (/** @type {File} */ file) => TEXT.test(file.name);
const stem = (/** @type {string} */ name) => name.replace(TEXT, "").replace(ENDING, "").normalize("NFC").toLowerCase();

const isTable = (/** @type {File} */ file) => TABLE.test(file.name);
const isWanted = (/** @type {File} */ file) => isText(file) || isTable(file) || isZip(file) || ENDING.test(file.name);

/** What stands in a text file: in UTF-8, in UTF-16 as Windows writes it, or in Windows-1252. */
function decodeText(/** @type {Uint8Array} */ bytes) {
  const wide = (bytes[0] === 0xff && bytes[1] === 0xfe) || bytes[1] === 0 ? "utf-16le" : (bytes[0] === 0xfe && bytes[1] === 0xff) || bytes[0] === 0 ? "utf-16be" : "";
  if (wide) return new TextDecoder(wide).decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

const folded = (/** @type {string} */ name) => name.normalize("NFC").toLowerCase();

/** Whether a name in a table is that of a picture, the so manyth of its name. */
function sameName(/** @type {string} */ given, /** @type {{name: string, path: string}} */ item, /** @type {number} */ times) {
  const names = times > 1 ? [`${item.name} (${times})`] : [item.path, item.name];
  return names.some((name) => folded(name) === folded(given));
}

/** One picture of a tray: where it is shown, and what the bot knows of it once it is sent. */
class Item {
  constructor(/** @type {PictureTray} */ tray, /** @type {string} */ name, /** @type {string} */ address) {
    this.tray = tray;
    this.address = address;
    /** @type {Sent|null} */ this.sent = null;
    this.status = el("span", {}, "Checking…");
    this.caption = el("textarea", { class: "caption", rows: 1, "aria-label": `Caption of ${name}`, placeholder: "Caption", maxlength: LONGEST_CAPTION, oninput: () => tray.noteChange() });
    this.caption.hidden = true;
    this.image = el("img", { src: address || null, alt: "", onerror: (event) => event.target.removeAttribute("src") });
    this.node = el(
      "li",
      { class: "chip", "data-is": "waiting" },
      this.image,
      el("div", { class: "about" }, el("b", { title: name }, name), this.status),
      this.caption,
      iconButton("close", `Remove ${name}`, () => tray.remove(this)),
    );
    this.name = name;
    this.path = name; // with the folders that it came in
    /** @type {((sent: Sent) => void)|null} */ this.whenAlone = null; // hears of it, if it came without others
  }

  /** The bot has it. */
  accept(/** @type {Sent} */ sent) {
    this.sent = sent;
    this.node.dataset.is = "sent";
    this.status.textContent = sent.width ? `${sent.width} × ${sent.height}` : "";
    if (!this.address) this.image.src = `/uploads/${sent.sha256}.webp`;
    this.caption.value ||= sent.caption;
    this.caption.hidden = !this.tray.captions;
  }

  refuse(/** @type {string} */ reason) {
    this.node.dataset.is = "refused";
    this.status.textContent = reason;
    announce(`${this.name}: ${reason}`);
  }

  forget() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.node.remove();
  }
}

/** A list of pictures that grows by files. `onChange` is called whenever what it holds is another. */
export class PictureTray {
  constructor(/** @type {HTMLElement} */ list, { captions = false, onChange = (/** @type {PictureTray} */ _) => {} } = {}) {
    this.list = list;
    this.captions = captions;
    this.onChange = onChange;
    /** @type {Set<Item>} */ this.items = new Set();
    /** @type {[File, Item][]} */ this.queue = [];
    /** @type {Map<string, string>} */ this.captionFiles = new Map(); // captions that came as files, by the picture's name
    this.sending = 0;
  }

  /** The pictures that the bot has, in their order. @returns {Sent[]} */
  get sent() {
    return [...this.items].flatMap((item) => (item.sent ? [{ ...item.sent, caption: item.caption.value.trim() }] : []));
  }

  /** Whether some are still under way. */
  get waiting() {
    return this.sending + this.queue.length > 0;
  }

  /** Send these; `whenAlone` hears what became of a picture that came without others. */
  async add(/** @type {Iterable<File>} */ files, /** @type {((sent: Sent) => void)|null} */ whenAlone = null) {
    const all = [...files].filter((file) => pathOf(file) === file.name || isWanted(file)); // a folder may have anything in it
    const tables = []; // read last, when their pictures are here
    for (const file of all) {
      if (this.captions && isText(file)) await this.#readCaption(file);
      else if (this.captions && isTable(file)) tables.push(file);
      else this.#enqueue(file, all.length === 1 ? whenAlone : null);
    }
    for (const file of tables) await this.#readTable(file);
    this.noteChange();
  }

  /** Pictures that the bot has already. */
  put(/** @type {Sent[]} */ pictures) {
    for (const picture of pictures) this.#append(new Item(this, picture.name || "picture", "")).accept(picture);
    this.noteChange();
  }

  remove(/** @type {Item} */ item) {
    this.items.delete(item);
    this.queue = this.queue.filter(([, queued]) => queued !== item);
    item.forget();
    this.noteChange();
  }

  clear() {
    for (const item of this.items) item.forget();
    this.items.clear();
    this.queue = [];
    this.noteChange();
  }

  noteChange() {
    this.list.hidden = !this.items.size;
    this.onChange(this);
  }

  async #readCaption(/** @type {File} */ file) {
    const caption = decodeText(new Uint8Array(await file.arrayBuffer())).trim().slice(0, LONGEST_CAPTION);
    const whose = stem(pathOf(file));
    this.captionFiles.set(whose, caption);
    for (const item of this.items) if (stem(item.path) === whose) item.caption.value = caption;
  }

  /** Captions of pictures that are here already, by their names: the second of a name is "a.png (2)". */
  async #readTable(/** @type {File} */ file) {
    const name = /^(metadata|captions|.*-captions)\.(csv|jsonl)$/i.test(file.name) ? file.name : "captions.csv";
    const response = await fetch(`/uploads?${new URLSearchParams({ name, channel: state.channel })}`, { method: "POST", body: file });
    if (!response.ok) return this.#append(new Item(this, file.name, "")).refuse(await response.text());
    const { captions, refused } = await response.json();
    const wanted = new Map(Object.entries(captions));
    const seen = new Map();
    for (const item of this.items) {
      const times = (seen.get(item.name) ?? 0) + 1;
      seen.set(item.name, times);
      const key = [...wanted.keys()].find((given) => sameName(given, item, times));
      if (key === undefined) continue;
      item.caption.value = wanted.get(key);
      wanted.delete(key);
    }
    const absent = [...wanted.keys()].map((key) => ({ name: key, reason: "There is a caption for it and no such picture." }));
    for (const { name: whose, reason } of [...refused, ...absent]) this.#append(new Item(this, whose, "")).refuse(reason);
  }

  #enqueue(/** @type {File} */ file, whenAlone) {
    const item = this.#append(new Item(this, file.name, isZip(file) ? "" : URL.createObjectURL(file)));
    item.whenAlone = whenAlone;
    item.path = pathOf(file);
    item.caption.value = this.captionFiles.get(stem(item.path)) ?? "";
    if (file.size > (isZip(file) ? LARGEST_ZIP : LARGEST_PICTURE)) {
      item.refuse(`It is larger than ${isZip(file) ? "2 GB" : "20 MB"}. Send a smaller one.`);
      return;
    }
    this.queue.push([file, item]);
    this.#sendNext();
  }

  #append(/** @type {Item} */ item) {
    this.items.add(item);
    this.list.append(item.node);
    return item;
  }

  #sendNext() {
    while (this.sending < AT_ONCE && this.queue.length) {
      const [file, item] = this.queue.shift();
      this.sending += 1;
      this.#send(file, item).finally(() => {
        this.sending -= 1;
        this.#sendNext();
        this.noteChange();
      });
    }
  }

  async #send(/** @type {File} */ file, /** @type {Item} */ item) {
    try {
      const response = await fetch(`/uploads?${new URLSearchParams({ name: pathOf(file), channel: state.channel })}`, { method: "POST", body: file });
      if (!response.ok) throw new Error(await response.text());
      const { pictures, refused } = await response.json();
      if (!this.items.has(item)) return;
      if (isZip(file)) this.#unpack(item, pictures, refused);
      else {
        item.accept(pictures[0]);
        item.whenAlone?.(pictures[0]);
      }
    } catch (error) {
      item.refuse(error.message || "It could not be sent. Try again.");
    }
  }

  #unpack(/** @type {Item} */ zip, /** @type {Sent[]} */ pictures, /** @type {{name: string, reason: string}[]} */ refused) {
    this.put(pictures);
    for (const { name, reason } of refused) this.#append(new Item(this, name || zip.name, "")).refuse(reason);
    this.remove(zip);
    announce(`${plural(pictures.length, "picture")} in ${zip.name}`);
  }
}
