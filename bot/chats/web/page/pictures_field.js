// The field of a form that takes several pictures, with their captions.

import { el, icon } from "./dom.js";
import { plural } from "./format.js";
import { PictureTray } from "./picture_tray.js";

const MOST = 1000; // pictures in a training
const KINDS = "image/png,image/jpeg,image/webp,image/avif,image/heic,.heic,application/zip,.zip,.txt,.caption,.csv,.jsonl,.jfif,.jpe";

/** A field whose value is a list of pictures as JSON text; and its tray. */
export function picturesField(/** @type {{name: string, label: string, help: string}} */ parameter, /** @type {string} */ id, /** @type {string} */ value) {
  const json = el("input", { type: "hidden", name: parameter.name });
  const count = el("span", { class: "allowed", "aria-live": "polite" });
  const list = el("ul", { class: "tiles", "aria-label": parameter.help });
  const chooser = el("input", { type: "file", accept: KINDS, multiple: true, hidden: true, onchange: () => add(chooser.files) });
  const folder = el("input", { type: "file", webkitdirectory: true, hidden: true, onchange: () => add(folder.files).then(() => (folder.value = "")) });
  const wholeFolder = el("button", { class: "quiet", type: "button", onclick: () => folder.click() }, "or choose a folder");
  const { zone, invitation } = newZone(id, () => chooser.click());
  const zoneItem = el("li", { class: "zone-item" });
  const field = el("div", { class: "field wide picture-field" }, el("label", { for: id }, parameter.label, count), zone, list, wholeFolder, chooser, folder, json);

  function onChange(/** @type {PictureTray} */ { sent, waiting, items }) {
    json.value = sent.length ? JSON.stringify(sent.map(pictureValue)) : "";
    json.dataset.waiting = waiting ? "true" : "";
    count.textContent = waiting ? "Sending…" : sent.length ? plural(sent.length, "picture") : "";
    count.classList.toggle("over", sent.length > MOST);
    if (sent.length > MOST) count.textContent += `, at most ${MOST.toLocaleString("en")}`;
    zone.classList.toggle("more", items.size > 0);
    invitation.textContent = items.size ? "Add more" : "Drop pictures here, paste them, or choose files";
    if (items.size) list.append(zoneItem);
    else field.insertBefore(zone, list);
    if (items.size) zoneItem.append(zone);
  }

  const tray = new PictureTray(list, { captions: true, onChange });
  const add = (files) => tray.add([...files]).then(() => (chooser.value = ""));
  tray.noteChange();
  tray.put(parseList(value));
  return { field, tray };
}

/** Where files are dropped, and which opens the browser's own choice of files. */
function newZone(/** @type {string} */ id, onclick) {
  const invitation = el("b");
  const help = el("small", { id: `${id}-help` }, `Up to ${MOST.toLocaleString("en")} PNG, JPEG or WebP files, a folder or a zip, with captions in .txt files or a metadata.csv`);
  const zone = el("button", { class: "zone", type: "button", id, "aria-describedby": `${id}-help`, onclick }, icon("pictures"), invitation, help);
  return { zone, invitation };
}

/** What a training has to know of a picture: what it is not told is as usual. */
function pictureValue(/** @type {import("./picture_tray.js").Sent} */ { sha256, name, caption, repeats, concept, regularization, mask }) {
  return { sha256, name, caption, ...(repeats > 1 ? { repeats } : {}), ...(concept ? { concept } : {}), ...(regularization ? { regularization } : {}), ...(mask ? { mask } : {}) };
}

function parseList(/** @type {string} */ value) {
  try {
    const pictures = JSON.parse(value || "[]");
    return Array.isArray(pictures) ? pictures : [];
  } catch {
    return [];
  }
}
