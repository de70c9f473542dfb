// The timeline of a channel: its cards in their order, older ones as they are scrolled to.

import { CardView } from "./card.js";
import { connection } from "./connection.js";
import { $ } from "./dom.js";
import { drawWelcome, showError } from "./notices.js";
import { markRead } from "./sidebar.js";
import { cardNumbers, state } from "./state.js";
import { keepNewestInSight, scrollToNewest } from "./views.js";

/** @typedef {import("./state.js").Card} Card */

export function clearTimeline() {
  state.cards.clear();
  state.hasOlderCards = false;
  $("feed").replaceChildren();
  scrollToNewest();
}

/** The newest cards as they are now: what is missing among them is gone, and a gap to older ones is not left open. */
export function mergeHistory(/** @type {Card[]} */ cards, /** @type {boolean} */ hasOlder) {
  const oldest = cards.at(-1)?.number ?? 0;
  const jobs = new Set(cards.map((card) => card.job));
  for (const [job, view] of state.cards) if (!jobs.has(job) && (view.card.number >= oldest || hasOlder)) removeCard(job);
  state.hasOlderCards = hasOlder;
  for (const card of [...cards].reverse()) putCard(card);
  finishChange();
}

/** Show a card as it is now, if it belongs to what is here. */
export function showCard(/** @type {Card} */ card) {
  if (card.channel !== state.channel) return;
  if (!state.cards.has(card.job) && state.hasOlderCards && card.number < Math.min(...cardNumbers())) return;
  putCard(card);
  finishChange();
}

function putCard(/** @type {Card} */ card) {
  const present = state.cards.get(card.job);
  if (present) {
    present.update(card);
    return present;
  }
  const view = new CardView(card);
  const newer = [...state.cards.values()].filter((other) => other.card.number > card.number);
  const next = newer.reduce((first, other) => (!first || other.card.number < first.card.number ? other : first), null);
  if (next) next.node.before(view.node);
  else $("feed").append(view.node);
  state.cards.set(card.job, view);
  return view;
}

export function removeCard(/** @type {string} */ job) {
  state.cards.get(job)?.node.remove();
  state.cards.delete(job);
  finishChange();
}

function finishChange() {
  $("older").hidden = !state.hasOlderCards;
  drawWelcome();
  markRead();
  keepNewestInSight();
}

export async function loadOlderCards() {
  if (!state.hasOlderCards || !state.cards.size || $("older").disabled) return;
  $("older").disabled = true;
  try {
    const { cards, more, channel } = await connection.request({ older: Math.min(...cardNumbers()) });
    if (channel !== state.channel) return;
    const fromBottom = $("scroll").scrollHeight - $("scroll").scrollTop;
    state.hasOlderCards = more;
    cards.forEach(putCard);
    $("older").hidden = !more;
    $("scroll").scrollTop = $("scroll").scrollHeight - fromBottom;
  } catch (error) {
    showError(error.message);
  } finally {
    $("older").disabled = false;
  }
}

/** Go to where a card stands, or bring it here if it is too old for that. */
export async function seekCard(/** @type {string} */ job) {
  const view = state.cards.get(job);
  if (!view) return bringCard(job);
  view.node.scrollIntoView({ block: "center" });
  highlight(view.node);
  view.node.focus({ preventScroll: true });
  return true;
}

function highlight(/** @type {HTMLElement} */ node) {
  node.classList.remove("highlighted");
  requestAnimationFrame(() => node.classList.add("highlighted"));
}

/** Bring a card in sight, at the end of the timeline; false where this channel has none for the job. */
export async function bringCard(/** @type {string} */ job) {
  let view = state.cards.get(job);
  if (!view) {
    const { cards } = await connection.request({ card: job });
    if (!cards.length) return false;
    view = putCard(cards[0]);
  }
  $("feed").append(view.node);
  scrollToNewest();
  highlight(view.node);
  return true;
}
