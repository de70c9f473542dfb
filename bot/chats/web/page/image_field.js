// The field of a form for a picture: one that is sent, or one that was painted here; and for its mask.

import { drawOver } from "./brush.js";
import { el, icon, iconButton } from "./dom.js";
import { announce } from "./feedback.js";
import { KINDS, upload } from "./file_field.js";
import { maskFile } from "./mask_marks.js";
import { draggedPicture, smallOf, wholeOf } from "./picture_reference.js";

/** @typedef {import("./state.js").Parameter} Parameter */

const MEGABYTE = 2 ** 20;
const EMPTY_IMAGE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="; // one pixel that shows nothing
const PICTURE = /\.(png|jpe?g|jfif|jpe|webp|gif|avif|hei[cf])$/i;
const kind = KINDS.picture;

/** A field for a picture: sent, dropped, pasted, or named by its job. `add` takes files that come by another way. */
export function imageField(/** @type {Parameter} */ { name, label, help }, /** @type {string} */ id, /** @type {string} */ value) {
  const input = el("input", { id, name, placeholder: "A job's picture, such as k3f9qa:2", "aria-describedby": `${id}-help` });
  const { field, send } = pictureRow({ label, help, id, input, rest: [input] });
  put(input, value);
  return { field, add: (/** @type {File[]} */ files) => send(files[0], files[0].name) };
}

/** A field for the mask of a form's picture: drawn over it, or sent. `draw` opens the brush.
 * @param {Parameter} parameter @param {string} id @param {string} value
 * @param {{image: () => HTMLInputElement, words: () => HTMLTextAreaElement, wanted: string, submit: string, send: () => void}} form */
export function maskField({ name, label, help }, id, value, form) {
  /** @type {import("./mask_marks.js").Marks|null} */ let marks = null;
  let drawnOver = "";
  const input = el("input", { type: "hidden", name });
  const open = el("button", { id, type: "button", class: "quiet", "aria-label": "Draw over the picture", "aria-describedby": `${id}-help`, onclick: () => draw() }, icon("brush"), "Draw");
  const { field, send, showStatus } = pictureRow({ label, help, id, input, rest: [open], replaced: () => (drawnOver = "") });

  async function draw() {
    const image = form.image();
    const address = wholeOf(image.value);
    if (!address) return showStatus("Choose the picture first.", true);
    const words = form.words();
    try {
      const drawn = await drawOver({ address, marks: drawnOver === image.value ? marks : null, words: words.value, label: form.wanted, submit: form.submit });
      words.value = drawn.words;
      [marks, drawnOver] = [drawn.marks, image.value];
      if (drawn.share > 0) await send(maskFile(marks), "Drawn");
      else put(input, "");
      if (drawn.send && input.value) form.send();
    } catch (error) {
      showStatus(error.message, true);
    }
  }

  /** What is drawn over a picture belongs to it alone. */
  const follow = () => drawnOver && form.image().value !== drawnOver && put(input, "");
  queueMicrotask(() => form.image().addEventListener("input", follow));
  put(input, value);
  return { field, draw };
}

/** Say it to all who listen, as if it had been typed. */
function put(/** @type {HTMLInputElement} */ input, /** @type {string} */ value) {
  input.value = value;
  input.dispatchEvent(new Event("input"));
}

/** A small one of what `input` says, ways to send another, and one to say none; `replaced` hears when it was. */
function pictureRow({ label, help, id, input, rest, replaced = () => "" }) {
  const status = el("span", { class: "allowed", role: "status" });
  const shown = el("img", { alt: "", draggable: "false", onerror: () => (shown.src = EMPTY_IMAGE) });
  const chooser = el("input", { type: "file", accept: kind.accept, hidden: true, onchange: () => take(chooser.files[0]) });
  const choose = el("button", { type: "button", class: "quiet", "aria-label": "Send one", onclick: () => chooser.click() }, icon("pictures"), el("span", { class: "word" }, "Send one"));
  const clear = iconButton("close", `Clear ${label}`, empty);
  let turn = 0;

  function showStatus(/** @type {string} */ text, wrong = false) {
    status.textContent = text;
    status.classList.toggle("over", wrong);
    if (wrong) announce(text);
  }

  function show() {
    turn += 1; // what is still being sent is not wanted any more
    delete input.dataset.waiting;
    shown.src = smallOf(input.value) || EMPTY_IMAGE;
    clear.hidden = !input.value;
    showStatus("");
  }

  function empty() {
    replaced();
    put(input, "");
  }

  function take(/** @type {File|undefined} */ file) {
    chooser.value = "";
    if (!file) return;
    replaced();
    send(file, file.name);
  }

  /** Send a file that is there or still being made; `done` is what is shown then. */
  async function send(/** @type {File|Promise<File>} */ made, /** @type {string} */ done) {
    put(input, "");
    const mine = turn;
    input.dataset.waiting = "true";
    showStatus("Sending…");
    try {
      const file = await made;
      checkKind(file);
      const answer = await upload(kind.address(file), file, (share) => mine === turn && showStatus(`Sending… ${Math.round(100 * share)}%`));
      if (mine !== turn) return;
      put(input, kind.hash(answer));
      showStatus(answer.pictures[0].note || done);
    } catch (error) {
      if (mine === turn) showStatus(error.message, true);
    } finally {
      if (mine === turn) delete input.dataset.waiting;
    }
  }

  function drop(/** @type {DragEvent} */ event) {
    const painted = input.type === "hidden" ? "" : draggedPicture(event.dataTransfer);
    if (!painted && !event.dataTransfer.files.length) return;
    event.preventDefault();
    event.stopPropagation(); // it is for this field alone
    if (painted) put(input, painted);
    else take(event.dataTransfer.files[0]);
  }

  input.addEventListener("input", show);
  const row = el("div", { class: "image-field" }, shown, ...rest, choose, clear);
  const hidden = input.type === "hidden" ? input : null;
  const field = el("div", { class: "field wide" }, el("label", { for: id }, label, status), row, chooser, hidden, el("small", { id: `${id}-help` }, help));
  field.addEventListener("dragover", (event) => event.preventDefault());
  field.addEventListener("drop", drop);
  return { field, send, showStatus };
}

/** Raise what is wrong with a file that cannot be a picture, without sending it. */
function checkKind(/** @type {File} */ { name, type, size }) {
  if (!type.startsWith("image/") && !PICTURE.test(name)) throw new Error(`${name} is not a picture. Send a PNG, JPEG or WebP.`);
  if (size > kind.megabytes * MEGABYTE) throw new Error(`The picture is larger than ${kind.megabytes} MB. Send a smaller one.`);
}
