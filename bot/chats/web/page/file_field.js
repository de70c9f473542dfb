// The field of a form that takes one file, a LoRA or a picture. It is sent at once, and the form gets its hash.

import { el, icon } from "./dom.js";
import { announce } from "./feedback.js";
import { state } from "./state.js";

const MEGABYTE = 2 ** 20;

/** By kind of option. `megabytes` are as the server takes them; `hash` finds the stored file's in the server's answer. */
export const KINDS = {
  lora_file: {
    accept: ".safetensors",
    icon: "lora",
    megabytes: 512,
    about: "A .safetensors LoRA for SDXL, at most 512 MB",
    address: () => `/lora-files?${new URLSearchParams({ channel: state.channel })}`,
    hash: ({ sha256 }) => sha256,
  },
  picture: {
    accept: "image/png,image/jpeg,image/webp,image/gif,.jfif,.jpe",
    icon: "pictures",
    megabytes: 20,
    about: "PNG, JPEG or WebP, at most 20 MB",
    address: ({ name }) => `/uploads?${new URLSearchParams({ name, channel: state.channel })}`,
    hash: ({ pictures }) => {
      if (pictures.length !== 1) throw new Error("This field takes one picture. Send one that is not in a zip.");
      return pictures[0].sha256;
    },
  },
};

/** Whether an option of this type is one file. */
export function isFile(/** @type {string} */ type) {
  return type in KINDS;
}

/** A field for one file; `value` is the hash of what was sent before. `add` takes files that come by another way. */
export function fileField(/** @type {{name: string, label: string, type: string}} */ parameter, /** @type {string} */ id, /** @type {string} */ value) {
  const kind = KINDS[parameter.type];
  const hash = el("input", { type: "hidden", name: parameter.name });
  const status = el("span", { class: "allowed", role: "status" });
  const invitation = el("b", {}, "Choose a file, or drop it here");
  const chooser = el("input", { type: "file", accept: kind.accept, hidden: true, onchange: () => send(chooser.files[0]) });
  const help = el("small", { id: `${id}-help` }, kind.about);
  const zone = el("button", { class: "zone", type: "button", id, "aria-describedby": `${id}-help`, onclick: () => chooser.click() }, icon(kind.icon), invitation, help);
  let turn = 0;

  function showStatus(/** @type {string} */ text, wrong = false) {
    status.textContent = text;
    status.classList.toggle("over", wrong);
    if (wrong) announce(text);
  }

  async function send(/** @type {File|undefined} */ file) {
    chooser.value = "";
    if (!file) return;
    const mine = ++turn;
    hash.value = "";
    invitation.textContent = file.name;
    if (file.size > kind.megabytes * MEGABYTE) return showStatus(`The file has ${Math.ceil(file.size / MEGABYTE)} MB. At most ${kind.megabytes} MB are allowed.`, true);
    hash.dataset.waiting = "true";
    showStatus("Sending…");
    try {
      const answer = await upload(kind.address(file), file, (share) => mine === turn && showStatus(`Sending… ${Math.round(100 * share)}%`));
      if (mine !== turn) return;
      hash.value = kind.hash(answer);
      showStatus("Sent");
    } catch (error) {
      if (mine === turn) showStatus(error.message, true);
    } finally {
      if (mine === turn) delete hash.dataset.waiting;
    }
  }

  hash.value = value;
  if (value) showStatus("Sent");
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation(); // it is for this field alone
    send(event.dataTransfer.files[0]);
  });
  const field = el("div", { class: "field wide" }, el("label", { for: id }, parameter.label, status), zone, chooser, hash);
  return { field, add: (/** @type {File[]} */ files) => send(files[0]) };
}

/** Send it; the server's answer. `onProgress` hears how much of it is there, which only XMLHttpRequest tells. @returns {Promise<any>} */
export function upload(/** @type {string} */ address, /** @type {File} */ file, /** @type {(share: number) => void} */ onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    request.onload = () => (request.status === 200 ? resolve(JSON.parse(request.responseText)) : reject(new Error(request.responseText)));
    request.onerror = () => reject(new Error("The file could not be sent. Try again."));
    request.send(file);
  });
}
