// The side bar: channels with what is unread, the links, the theme, and how it folds on narrow screens.

import { $, el, icon } from "./dom.js";
import { cardNumbers, memory, state } from "./state.js";

const THEMES = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };

export const systemDark = matchMedia("(prefers-color-scheme: dark)");

export function drawSidebar() {
  const items = [...state.channels].map(([name, newest]) => {
    const current = name === state.channel && state.view === "chat";
    return el("li", {}, channelLink(name, current, !current && newest > memory.get(`read:${name}`, 0)));
  });
  $("channels").replaceChildren(...items);
  document.title = $("channels").querySelector(".unread") ? "• Atelier" : "Atelier";
  for (const link of document.querySelectorAll(".side [data-view]")) link.toggleAttribute("aria-current", link.dataset.view === state.view);
}

function channelLink(/** @type {string} */ name, /** @type {boolean} */ current, /** @type {boolean} */ unread) {
  return el(
    "button",
    {
      class: unread ? "link unread" : "link", "data-channel": name, "aria-current": current ? "page" : null,
      "aria-label": unread ? `${name}, unread` : name,
    },
    el("span", { class: "hash", "aria-hidden": "true" }, "#"),
    el("span", { class: "text" }, name),
    unread ? el("span", { class: "dot" }) : null,
  );
}

/** A channel has a card with this number. */
export function noteNewest(/** @type {string} */ channel, /** @type {number} */ number) {
  state.channels.set(channel, Math.max(number, state.channels.get(channel) ?? 0));
}

/** The newest card of this channel was in sight. */
export function markRead() {
  if (document.hidden || state.view !== "chat" || !state.channel) return;
  const newest = Math.max(0, ...cardNumbers());
  noteNewest(state.channel, newest);
  if (newest > memory.get(`read:${state.channel}`, 0)) memory.set(`read:${state.channel}`, newest);
}

/** Fold it, or put it over the page; where there is room it always stands beside. */
export function foldSidebar(out = false) {
  $("side").classList.toggle("out", out);
  $("veil").hidden = !out;
  if (out) $("channels").querySelector("button")?.focus();
  else if ($("side").contains(document.activeElement) && getComputedStyle($("menu")).display !== "none") $("menu").focus();
  $("menu").setAttribute("aria-expanded", String(out));
}

export function toggleSidebar() {
  foldSidebar(!$("side").classList.contains("out"));
}

export function showTheme() {
  const theme = memory.get("theme", "auto");
  document.documentElement.dataset.theme = theme === "auto" ? (systemDark.matches ? "dark" : "light") : theme;
  $("theme").setAttribute("aria-label", THEMES[theme]);
  $("theme").title = THEMES[theme];
  $("theme").replaceChildren(icon(theme));
}

export function nextTheme() {
  const names = Object.keys(THEMES);
  memory.set("theme", names[(names.indexOf(memory.get("theme", "auto")) + 1) % names.length]);
  showTheme();
}
