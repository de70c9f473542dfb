// A LoRA's file on its way to the bot: chosen, sent at once, and told to the form by its hash.

import { announce, el, icon, memory } from "./parts.js";

const LARGEST = 512 * 2 ** 20; // bytes, as the server takes them

/** The field of a form that takes one file; its value is the hash of what was sent. */
export function fileField(/** @type {{name: string, label: string, help: string}} */ parameter, /** @type {string} */ id) {
  const carrier = el("input", { type: "hidden", name: parameter.name });
  const said = el("span", { class: "allowed", role: "status" });
  const invitation = el("b", {}, "Choose a file, or drop it here");
  const chooser = el("input", { type: "file", accept: ".safetensors", hidden: true, onchange: () => send(chooser.files[0]) });
  const zone = el("button", { class: "zone", type: "button", id, "aria-describedby": `${id}-help`, onclick: () => chooser.click() }, icon("lora"), invitation, el("small", { id: `${id}-help` }, "A LoRA for SDXL that ends in .safetensors, at most 512 MB"));
  let turn = 0;

  function tell(/** @type {string} */ words, wrong = false) {
    said.textContent = words;
    said.classList.toggle("over", wrong);
    if (wrong) announce(words);
  }

  async function send(/** @type {File|undefined} */ file) {
    chooser.value = "";
    if (!file) return;
    const mine = ++turn;
    carrier.value = "";
    invitation.textContent = file.name;
    if (file.size > LARGEST) return tell("The file is larger than 512 MB, which no LoRA here may be.", true);
    carrier.dataset.waiting = "true";
    tell("Sending…");
    try {
      const sha256 = await sent(file, (share) => mine === turn && tell(`Sending… ${Math.round(100 * share)} %`));
      if (mine !== turn) return;
      carrier.value = sha256;
      tell("Sent");
    } catch (error) {
      if (mine === turn) tell(error.message, true);
    } finally {
      if (mine === turn) delete carrier.dataset.waiting;
    }
  }

  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation(); // it is no picture
    send(event.dataTransfer.files[0]);
  });
  return el("div", { class: "field wide" }, el("label", { for: id }, parameter.label, said), zone, chooser, carrier);
}

/** Send it; its hash. `went` hears how much of it is there. Only this old way tells that. @returns {Promise<string>} */
function sent(/** @type {File} */ file, /** @type {(share: number) => void} */ went) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/lora-files?${new URLSearchParams({ channel: memory.get("channel", "") })}`);
    request.upload.onprogress = ({ loaded, total }) => went(loaded / total);
    request.onload = () => (request.status === 200 ? resolve(JSON.parse(request.responseText).sha256) : reject(new Error(request.responseText)));
    request.onerror = () => reject(new Error("The file could not be sent."));
    request.send(file);
  });
}
