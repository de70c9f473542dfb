// The gallery: what I painted, and my favourites; and which pictures those are.

import { $, el } from "./dom.js";
import { lightbox } from "./lightbox.js";
import { state } from "./state.js";
import { showView } from "./views.js";

const MOST_PAGES = 10; // of favourites that are marked on cards
const EMPTY = { mine: "Pictures that you paint appear here.", favourites: "Press ⭐ under a picture to keep it here." };

const gallery = { pictures: [], before: "" };

/** A page of pictures, the newest first; null when it cannot be read. */
async function fetchPictures(/** @type {boolean} */ favourites, before) {
  const response = await fetch(`/gallery?starred=${favourites ? 1 : 0}&before=${before}`).catch(() => null);
  return response?.ok ? response.json() : null;
}

/** Which pictures are my favourites is the bot's to say: another of my pages may have changed it. */
export async function loadFavourites() {
  const addresses = new Set();
  for (let before = "", page = 0; page < MOST_PAGES; page++) {
    const read = await fetchPictures(true, before);
    for (const picture of read?.pictures ?? []) addresses.add(picture.url);
    if (!read?.more) break;
    before = read.pictures.at(-1).id;
  }
  state.favourites = addresses;
  for (const view of state.cards.values()) view.update(view.card);
}

export async function openGallery(/** @type {"mine"|"favourites"} */ view) {
  showView(view);
  for (const tab of $("gallery").querySelectorAll("[role=tab]")) {
    tab.setAttribute("aria-selected", String(tab.dataset.view === view));
    tab.tabIndex = tab.dataset.view === view ? 0 : -1;
  }
  Object.assign(gallery, { pictures: [], before: "" });
  $("pictures").setAttribute("aria-labelledby", `tab-${view}`);
  $("pictures").replaceChildren();
  await loadMorePictures();
}

export async function loadMorePictures() {
  const { view } = state;
  const read = await fetchPictures(view === "favourites", gallery.before);
  if (view !== state.view) return;
  if (!read) {
    $("pictures").append(el("p", { class: "nothing" }, "The gallery cannot be loaded right now. Try again in a moment."));
    return;
  }
  const first = gallery.pictures.length;
  gallery.pictures.push(...read.pictures);
  gallery.before = read.pictures.at(-1)?.id ?? "";
  $("pictures").append(...read.pictures.map((picture, index) => tile(picture, first + index)));
  $("more").hidden = !read.more;
  if (!gallery.pictures.length) $("pictures").append(el("p", { class: "nothing" }, EMPTY[view]));
}

function tile(picture, /** @type {number} */ index) {
  const crisp = Math.max(picture.width, picture.height) <= 160;
  const image = el("img", { src: picture.thumb, alt: "", loading: "lazy", class: crisp ? "pixels" : null });
  const name = picture.title || `Picture ${picture.job}`;
  const props = { class: picture.hidden ? "tile covered" : "tile", type: "button", "aria-label": `Open: ${name}` };
  return el("button", { ...props, onclick: () => lightbox.open(gallery.pictures, index) }, image, el("span", { "aria-hidden": "true" }, name));
}
