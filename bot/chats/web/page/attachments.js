// Pictures beside the message: chosen, dropped or pasted anywhere on the page.

import { $ } from "./dom.js";
import { filesIn } from "./folders.js";
import { openFormTray } from "./form.js";
import { draggedPicture } from "./picture_reference.js";
import { PictureTray } from "./picture_tray.js";
import { state } from "./state.js";

export const tray = new PictureTray($("chips"), {
  onChange: ({ sent }) => ($("train-these").hidden = !sent.length || !state.commands.has("train")),
});

const tell = (/** @type {string} */ event, /** @type {string} */ detail) => $("chips").dispatchEvent(new CustomEvent(event, { detail }));
const readRecipe = ({ recipe }) => recipe && tell("recipe", recipe);

/** Files go to the form that asks for some, else beside the message. A picture that comes while nothing else is there
 * and nothing is written is painted from: by its recipe if it carries one, else as the picture that it is. */
function addFiles(/** @type {Iterable<File>} */ files) {
  if ($("brush").open) return;
  const form = openFormTray();
  if (form) form.add([...files]);
  else tray.add([...files], (sent) => (sent.recipe || tray.items.size > 1 || $("message").value ? readRecipe(sent) : tell("picture", sent.sha256)));
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
    const painted = draggedPicture(event.dataTransfer); // browsers hand over its file, too
    if (painted) tell("picture", painted);
    else filesIn(event.dataTransfer).then(addFiles);
  });
  addEventListener("paste", (event) => event.clipboardData?.files.length && addFiles(event.clipboardData.files));
  $("attach").onclick = () => $("files").click();
  $("files").onchange = (event) => tray.add([...event.target.files], readRecipe).then(() => (event.target.value = ""));
}
