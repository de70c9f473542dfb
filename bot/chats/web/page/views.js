// The view in sight (chat, gallery or LoRAs), and how far the chat is scrolled.

import { $, fitHeight } from "./dom.js";
import { foldSidebar, drawSidebar } from "./sidebar.js";
import { state } from "./state.js";

const NEAR = 80; // pixels from an end that count as being there

let followsNewest = true; // the newest is in sight, and stays so
let lastScrollTop = 0;

export function showView(/** @type {string} */ view) {
  foldSidebar();
  state.view = view;
  const chat = view === "chat";
  $("gallery").hidden = view !== "mine" && view !== "favourites";
  $("loras").hidden = view !== "loras";
  for (const id of ["scroll", "composer"]) $(id).hidden = !chat;
  $("to-bottom").hidden = true;
  $("where").textContent = chat ? `# ${state.channel}` : view === "loras" ? `LoRAs in # ${state.channel}` : "Gallery";
  drawSidebar();
  if (!chat) return;
  fitHeight($("message")); // it had no height while it was hidden
  scrollToNewest();
}

/** Go to the newest card, and stay with the newest from now on. */
export function scrollToNewest() {
  followsNewest = true;
  keepNewestInSight();
}

/** What grew or came leaves the newest in sight, for those who have not scrolled away. */
export function keepNewestInSight() {
  if (followsNewest) $("scroll").scrollTop = $("scroll").scrollHeight;
}

/** Note where the chat was scrolled to; whether that is its top. */
export function followScroll() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroll");
  // What grew meanwhile, such as a picture that has just come, lets nobody go: only who scrolls up leaves.
  const up = scrollTop < lastScrollTop;
  lastScrollTop = scrollTop;
  followsNewest = scrollHeight - scrollTop - clientHeight < NEAR || (followsNewest && !up);
  $("to-bottom").hidden = followsNewest;
  return scrollTop < NEAR;
}
