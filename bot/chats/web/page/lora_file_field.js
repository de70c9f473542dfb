// The field of a form that takes a LoRA's file: it is sent at once, and the form gets its hash.

import { el, icon } from "./dom.js";
import { announce } from "./feedback.js";
import { state } from "./state.js";

const LARGEST = 512 * 2 ** 20; // bytes, as the server takes them

/** A field for one file. */
export function loraFileField(/** @type {{name: string, label: string, help: string}} */ parameter, /** @type {string} */ id) {
  const hash = el("input", { type: "hidden", name: parameter.name });
  const status = el("span", { class: "allowed", role: "status" });
  const invitation = el("b", {}, "Choose a file, or drop it here");
  const chooser = el("input", { type: "file", accept: ".safetensors", hidden: true, onchange: () => send(chooser.files[0]) });
  const help = el("small", { id: `${id}-help` }, "A LoRA for SDXL that ends in .safetensors, at most 512 MB");
  const zone = el("button", { class: "zone", type: "button", id, "aria-describedby": `${id}-help`, onclick: () => chooser.click() }, icon("lora"), invitation, help);
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
    if (file.size > LARGEST) return showStatus("The file is larger than 512 MB, which no LoRA here may be.", true);
    hash.dataset.waiting = "true";
    showStatus("Sending…");
    try {
      const sha256 = await upload(file, (share) => mine === turn && showStatus(`Sending… ${Math.round(100 * share)} %`));
      if (mine !== turn) return;
      hash.value = sha256;
      showStatus("Sent");
    } catch (error) {
      if (mine === turn) showStatus(error.message, true);
    } finally {
      if (mine === turn) delete hash.dataset.waiting;
    }
  }

  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation(); // it is no picture
    send(event.dataTransfer.files[0]);
  });
  return el("div", { class: "field wide" }, el("label", { for: id }, parameter.label, status), zone, chooser, hash);
}

/** Send it; its hash. `onProgress` hears how much of it is there, which only XMLHttpRequest tells. @returns {Promise<string>} */
function upload(/** @type {File} */ file, /** @type {(share: number) => void} */ onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/lora-files?${new URLSearchParams({ channel: state.channel })}`);
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    request.onload = () => (request.status === 200 ? resolve(JSON.parse(request.responseText).sha256) : reject(new Error(request.responseText)));
    request.onerror = () => reject(new Error("The file could not be sent."));
    request.send(file);
  });
}
