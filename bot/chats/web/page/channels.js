// Channels: which there are, the one that is open, and its cards.

import { connection } from "./connection.js";
import { $ } from "./dom.js";
import { showToast } from "./feedback.js";
import { showError } from "./notices.js";
import { drawSidebar } from "./sidebar.js";
import { memory, state } from "./state.js";
import { bringCard, clearTimeline, mergeHistory } from "./timeline.js";
import { showView } from "./views.js";

/** Go on in the channel that was open; a browser that comes opens its last one. */
export async function setChannels(/** @type {{name: string, newest: number}[]} */ channels) {
  state.channels = new Map(channels.map(({ name, newest }) => [name, newest]));
  const wanted = state.channel || memory.get("channel", "");
  await openChannel(state.channels.has(wanted) ? wanted : channels[0].name);
}

export async function goToChannel(/** @type {string} */ name) {
  showView("chat");
  if (name !== state.channel) await openChannel(name);
  $("message").focus();
}

/** Read a channel; where it is open already, what is there is brought up to date. */
async function openChannel(/** @type {string} */ name) {
  const limit = name === state.channel ? state.cards.size : 0;
  if (name !== state.channel) clearTimeline();
  state.channel = name;
  memory.set("channel", name);
  if (state.view === "chat") $("where").textContent = `# ${name}`;
  $("feed").setAttribute("aria-busy", "true");
  try {
    const { channel, cards, more } = await connection.request({ open: name, limit });
    if (channel === state.channel) mergeHistory(cards, more);
  } catch (error) {
    showError(error.message);
  }
  $("feed").setAttribute("aria-busy", "false");
  drawSidebar();
}

export async function goToCard({ channel, job }) {
  await goToChannel(channel);
  await bringCard(job).catch((error) => showError(error.message));
}

/** Go to a training's card, if it is in this channel. */
export async function goToTraining(/** @type {string} */ job) {
  showView("chat");
  if (!(await bringCard(job).catch(() => false))) showToast("Its training is not in this channel.");
}
