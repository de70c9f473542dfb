// The page of the web chat: what it hears from the bot and from people, and which part sees to it.

import { listenForFiles } from "./attachments.js";
import { goToCard, goToChannel, goToTraining, setChannels } from "./channels.js";
import { loadCommands } from "./commands.js";
import { completions, showHint } from "./completions.js";
import { onMessageInput, onMessageKey, suggestMessage } from "./composer.js";
import { connection } from "./connection.js";
import { $ } from "./dom.js";
import { loadFavourites, loadMorePictures, openGallery } from "./gallery.js";
import { lightbox } from "./lightbox.js";
import { LoraLibrary } from "./loras.js";
import { showError } from "./notices.js";
import { askName, renamePerson, saveName, showMe } from "./profile.js";
import { fillForm, openForm, openFormForMessage, openFormForPicture, openFormForRecipe, press, sendMessage } from "./requests.js";
import { drawSidebar, foldSidebar, markRead, nextTheme, noteNewest, showTheme, systemDark, toggleSidebar } from "./sidebar.js";
import { state } from "./state.js";
import { loadOlderCards, removeCard, seekCard, showCard } from "./timeline.js";
import { followScroll, keepNewestInSight, scrollToNewest, showView } from "./views.js";

const loras = new LoraLibrary({
  channel: () => state.channel,
  fill: fillForm,
  suggest: suggestMessage,
  train: () => openForm("train"),
  importFile: () => openForm("lora import"),
  goToTraining,
});

// What the bot says unasked

function hear(message) {
  if (message.hello) greet(message.hello);
  else if (message.card) hearCard(message.card);
  else if (message.gone) removeCard(message.gone);
  else if (message.news) hearNews(message.news, message.number);
  else if (message.named) renamePerson(message.named);
  else if (message.error) showError(message.error);
}

async function greet({ key, name, channels }) {
  state.key = key;
  showMe(name);
  loadFavourites();
  await setChannels(channels);
}

function hearCard(/** @type {import("./state.js").Card} */ card) {
  const before = state.cards.get(card.job)?.card.state;
  showCard(card);
  if (state.view === "loras" && card.kind === "train" && card.state === "succeeded" && before !== card.state) loras.load();
}

function hearNews(/** @type {string} */ channel, /** @type {number} */ number) {
  noteNewest(channel, number);
  drawSidebar();
}

function showConnection(/** @type {"on"|"off"|"wait"} */ how, /** @type {string} */ text) {
  $("state").dataset.state = how;
  $("state").textContent = text;
}

// What people do

function openView(/** @type {string} */ view) {
  if (view !== "loras") return openGallery(/** @type {any} */ (view));
  showView("loras");
  return loras.load();
}

function onClick(event) {
  const target = event.target.closest("[data-channel], [data-view], [data-close]");
  if (target?.dataset.channel) goToChannel(target.dataset.channel);
  else if (target?.dataset.view) openView(target.dataset.view);
  else if (target) target.closest("dialog").close();
}

function onPageKey(/** @type {KeyboardEvent} */ event) {
  const typing = /^(input|textarea|select)$/i.test(document.activeElement?.tagName ?? "");
  const dialog = document.querySelector("dialog[open]");
  if (event.key === "Escape" && !dialog) foldSidebar();
  if (dialog === $("lightbox") && event.key.startsWith("Arrow")) lightbox.step(event.key === "ArrowLeft" || event.key === "ArrowUp" ? -1 : 1);
  if (event.key === "/" && !typing && !dialog && state.view === "chat") {
    event.preventDefault();
    $("message").focus();
  }
}

function onVisibilityChange() {
  if (document.hidden) return;
  connection.retryNow();
  markRead();
  drawSidebar();
}

function listenToComposer() {
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    sendMessage();
  });
  $("message").addEventListener("keydown", onMessageKey);
  $("message").addEventListener("input", onMessageInput);
  $("message").addEventListener("click", () => completions.update());
  $("message").addEventListener("blur", () => completions.close());
  $("open-form").onclick = openFormForMessage;
  $("train-these").onclick = () => openForm("train");
  $("chips").addEventListener("recipe", (event) => openFormForRecipe(event.detail));
  $("chips").addEventListener("picture", (event) => openFormForPicture(event.detail));
  listenForFiles();
}

function listenToTimeline() {
  $("feed").addEventListener("press", (event) => press(event.detail));
  $("feed").addEventListener("bring", (event) => seekCard(event.detail).catch((error) => showError(error.message)));
  $("scroll").addEventListener("scroll", () => followScroll() && loadOlderCards(), { passive: true });
  $("older").onclick = loadOlderCards;
  $("to-bottom").onclick = scrollToNewest;
  new ResizeObserver(keepNewestInSight).observe($("feed"));
}

function listenToPage() {
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onPageKey);
  document.addEventListener("visibilitychange", onVisibilityChange);
  addEventListener("online", () => connection.retryNow());
  systemDark.addEventListener("change", showTheme);
  $("theme").onclick = nextTheme;
  $("menu").onclick = toggleSidebar;
  $("veil").onclick = () => foldSidebar();
  $("me").onclick = askName;
  $("rename").querySelector("form").onsubmit = saveName;
  $("more").onclick = loadMorePictures;
  $("left").onclick = () => lightbox.step(-1);
  $("right").onclick = () => lightbox.step(1);
  $("lightbox").addEventListener("click", (event) => event.target.matches("dialog, figure") && $("lightbox").close());
  $("lightbox").addEventListener("showcard", (event) => goToCard(event.detail));
}

showTheme();
showHint(null);
listenToComposer();
listenToTimeline();
listenToPage();
connection.start({ prepare: loadCommands, hear, show: showConnection });
