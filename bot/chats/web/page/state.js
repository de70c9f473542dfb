// What the page knows of the bot and of me, and what this browser remembers of it.

/** @typedef {{place: number, seed: string, width: number, height: number, stars: number, hidden: boolean,
 *   url: string, thumb: string, recipe: string}} Picture */
/** @typedef {{id: string, emoji: string, label: string, picture: number|null, owners: boolean, more: boolean}} Action */
/** @typedef {{channel: string, job: string, kind: string, number: number, person: string, person_key: string, state: string,
 *   title: string, line: string, hint: string, done: number|null, preview: string|null, pictures: Picture[],
 *   recipe: [string, string][], command: string, buttons: Action[], at: number}} Card */
/** @typedef {{name: string, label: string, flags: string[], help: string, type: string, low: number|null, high: number|null,
 *   choices: string[], names: string[], default: string, otherwise: string, required: boolean, repeated: boolean,
 *   spoken: boolean, long: boolean, more?: boolean, about?: Record<string, string>}} Parameter */
/** @typedef {{name: string, help: string, submit: string, parameters: Parameter[]}} Command */

export const state = {
  key: "", // who I am here
  name: "",
  /** @type {Map<string, number>} */ channels: new Map(), // name -> number of its newest card
  channel: "",
  view: "chat", // or "mine", "favourites", "loras"
  /** @type {Map<string, import("./card.js").CardView>} */ cards: new Map(),
  hasOlderCards: false,
  /** @type {Map<string, Command>} */ commands: new Map(),
  /** @type {Set<string>} */ favourites: new Set(), // addresses of pictures
};

/** The numbers of the cards that are here; they count up with time. */
export function cardNumbers() {
  return [...state.cards.values()].map((view) => view.card.number);
}

/** What this browser remembers; a browser that forbids it only forgets. */
export const memory = {
  get(key, otherwise) {
    try {
      return JSON.parse(localStorage.getItem(`atelier:${key}`) ?? "null") ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`atelier:${key}`, JSON.stringify(value));
    } catch {
      // private windows have no room
    }
  },
};
