// What I ask of the bot (messages, forms, buttons), and what becomes of its replies.

import { tray } from "./attachments.js";
import { commandName, loadCommands, positionalOf } from "./commands.js";
import { remember, setMessage } from "./composer.js";
import { connection } from "./connection.js";
import { $ } from "./dom.js";
import { confirmPress, showToast } from "./feedback.js";
import { drawMask, showCaptionsOnly, showForm } from "./form.js";
import { loadFavourites } from "./gallery.js";
import { addNotice, showError } from "./notices.js";
import { state } from "./state.js";
import { bringCard } from "./timeline.js";
import { scrollToNewest, showView } from "./views.js";

export async function sendMessage() {
  const typed = $("message").value.trim();
  if (!typed) return;
  const text = withTray(typed);
  if (!connection.open) {
    showError("Not connected right now. Your message stays here. Send it when the connection is back.");
    return;
  }
  remember(text);
  setMessage("");
  try {
    const { reply } = await connection.request({ say: text });
    if (!reply.ok && !$("message").value) setMessage(typed);
    if (reply.ok && text !== typed) tray.clear();
    handleReply(reply, text);
  } catch (error) {
    showError(error.message, text);
  }
}

/** Press a button of a card; where there is a `question` it must be pressed twice. */
export async function press({ action, button, question }) {
  if (question && !confirmPress(button, question)) return;
  button.disabled = true;
  const captions = action.id.startsWith("captions:"); // other chats send a file of them
  try {
    const { reply } = await connection.request({ press: captions ? action.id.replace("captions:", "edit:") : action.id });
    if (reply.ok && action.id.startsWith("keep:")) await loadFavourites();
    if (reply.ok && reply.text && !reply.files.length) showToast(reply.text); // the card shows it too
    else await handleReply(reply, `${action.emoji} ${action.label}`, captions);
    if (action.id.startsWith("part:") && reply.form) drawMask();
  } catch (error) {
    showError(error.message);
  } finally {
    button.disabled = false;
  }
}

/** Send a form; the reply. */
export async function fillForm(/** @type {string} */ command, /** @type {Record<string, string>} */ values) {
  return (await connection.request({ fill: { command, values } })).reply;
}

/** `echo` is what was said or pressed; `captions`: of a form only the captions are wanted. */
async function handleReply(reply, /** @type {string} */ echo, captions = false) {
  // A recipe starts from words, also where a picture lies beside the message.
  if (reply.form) await openForm(reply.form.command, { image: "", ...reply.form.values }, reply.text, captions);
  else if (reply.text || reply.files.length || reply.loras.length) addNotice({ ...reply, echo });
  if (reply.job) {
    scrollToNewest();
    if (/^\/show\b/i.test(echo)) bringCard(reply.job).catch((error) => showError(error.message));
  }
}

export async function openForm(/** @type {string} */ name, values = {}, note = "", captions = false) {
  await loadCommands().catch(() => null); // my defaults may be others by now; without a connection the old ones do
  const command = state.commands.get(name);
  if (!command) return;
  const pictures = command.parameters.find(({ type }) => type === "pictures") ?? command.parameters.find(({ type }) => type === "picture" || type === "image");
  showForm(command, { ...values, ...(pictures?.name in values ? {} : fromTray(pictures)) }, async (filled) => {
    const reply = await fillForm(name, filled);
    if (!reply.ok) return reply.text;
    if (pictures) tray.clear();
    showView("chat");
    setMessage("");
    handleReply(reply, `/${name}`);
    return "";
  });
  if (note) $("form-about").textContent = note;
  showCaptionsOnly(captions);
}

/** What lies beside the message already, for the parameter that takes pictures. */
function fromTray(/** @type {import("./state.js").Parameter|undefined} */ parameter) {
  if (!parameter || !tray.sent.length) return {};
  const [{ sha256 }] = tray.sent;
  return { [parameter.name]: parameter.type !== "pictures" ? sha256 : JSON.stringify(tray.sent) };
}

/** A typed command with the picture beside it, where it starts from one and names none. */
function withTray(/** @type {string} */ text) {
  const command = state.commands.get(commandName(text));
  const image = command?.parameters.find(({ type }) => type === "image");
  if (!image || tray.sent.length !== 1 || image.flags.some((flag) => text.includes(flag))) return text;
  return `${text} ${image.flags[0]} ${tray.sent[0].sha256}`;
}

/** The form of the command that is being typed, with what is typed already. */
export function openFormForMessage() {
  const text = $("message").value;
  const name = commandName(text);
  const command = state.commands.get(name) ?? state.commands.get("imagine");
  const rest = text.replace(/^\/\S+\s*/, "").replace(name.includes(" ") ? /^\S+\s*/ : "", "");
  const positional = positionalOf(command);
  openForm(command?.name, positional && rest && !/(^|\s)--\w/.test(rest) ? { [positional.name]: rest } : {});
}

/** The form that paints from a picture: the hash of one that was sent, or a job's such as k3f9qa:2. */
export function openFormForPicture(/** @type {string} */ image) {
  if (!document.querySelector("dialog[open]")) openForm("imagine", { image });
}

/** The form that paints like a picture that carries this recipe; where it is none nothing happens. */
export async function openFormForRecipe(/** @type {string} */ recipe) {
  try {
    const { reply } = await connection.request({ recipe });
    if (reply.ok && !document.querySelector("dialog[open]")) handleReply(reply, "");
  } catch (error) {
    showError(error.message);
  }
}
