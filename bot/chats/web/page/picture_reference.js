// Pictures as a form says them: the hash of one that I sent, or a job's such as k3f9qa:2; and where they lie.

import { state } from "./state.js";

const SENT = /^[0-9a-f]{64}$/;
const PAINTED = /^([0-9a-z]{6})(?:\s*[:#/ ]\s*([1-4]))?$/;

/** Where the picture lies, a small one of it or all of it; "" where the page cannot know. */
function addressOf(/** @type {string} */ text, /** @type {boolean} */ small) {
  const words = text.trim().toLowerCase();
  if (SENT.test(words)) return `/uploads/${words}.${small ? "webp" : "png"}`;
  const [, job, place] = PAINTED.exec(words) ?? [];
  if (!job) return "";
  const card = state.cards.get(job)?.card;
  const first = card ? (card.pictures[0]?.place ?? 0) : 1;
  return `/${small ? "thumbs" : "pictures"}/${encodeURIComponent(state.channel)}/${job}/${place ?? first}.${small ? "webp" : "png"}`;
}

export const smallOf = (/** @type {string} */ text) => addressOf(text, true);
export const wholeOf = (/** @type {string} */ text) => addressOf(text, false);

/** The painted picture that is dragged here from a page of this chat: "k3f9qa:2"; or "". */
export function draggedPicture(/** @type {DataTransfer|null} */ transfer) {
  const address = transfer?.getData("text/uri-list").split(/\r?\n/)[0] ?? "";
  const [, job, place] = /\/(?:pictures|thumbs)\/[^/]+\/([0-9a-z]{6})\/([1-4])\.\w+$/.exec(address) ?? [];
  return job && address.startsWith(`${location.origin}/`) ? `${job}:${place}` : "";
}
