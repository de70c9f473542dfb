// Pictures beside the message: chosen, dropped or pasted anywhere on the page.

import { $ } from "./dom.js";
import { filesIn } from "./folders.js";
import { openFormTray } from "./form.js";
import { PictureTray } from "./picture_tray.js";
import { state } from "./state.js";

export const tray = new PictureTray($("chips"), {
  onChange: ({ sent }) => ($("train-these").hidden = !sent.length || !state.commands.has("train")),
  onRecipe: (recipe) => $("chips").dispatchEvent(new CustomEvent("recipe", { detail: recipe })),
});

/** Files go to the form that asks for some, else beside the message. */
function addFiles(/** @type {Iterable<File>} */ files) {
  (openFormTray() ?? tray).add([...files]);
}

export function listenForFiles() {
  let inside = 0; // elements that the pointer has entered and not left
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const showDrop = () => {
    document.body.classList.toggle("dropping", inside > 0);
    $("drop").hidden = inside === 0 || Boolean(document.querySelector("dialog[open]"));
  };
  const cross = (step) => (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    inside = Math.max(0, inside + step);
    showDrop();
  };
  addEventListener("dragenter", cross(1));
  addEventListener("dragleave", cross(-1));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    inside = 0;
    showDrop();
    filesIn(event.dataTransfer).then(addFiles);
  });
  addEventListener("paste", (event) => event.clipboardData?.files.length && addFiles(event.clipboardData.files));
  $("attach").onclick = () => $("files").click();
  $("files").onchange = (event) => tray.add([...event.target.files]).then(() => (event.target.value = ""));
}
