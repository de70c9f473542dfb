// Numbers, times and sizes as people read them.

/** "1 picture", "3 pictures". */
export function plural(/** @type {number} */ number, /** @type {string} */ noun, nouns = `${noun}s`) {
  return `${number} ${number === 1 ? noun : nouns}`;
}

/** The time of day, with the date unless it was today. */
export function clockTime(/** @type {number} */ seconds) {
  const then = new Date(seconds * 1000);
  const today = then.toDateString() === new Date().toDateString();
  const day = today ? {} : { day: "numeric", month: "short" };
  return then.toLocaleString([], { hour: "2-digit", minute: "2-digit", ...day });
}

/** How wide to show a picture: small ones a whole number of times larger, so that pixels stay crisp. */
export function displaySize({ width, height }, /** @type {number} */ longest) {
  const times = longest / Math.max(width, height);
  return times >= 2 ? { wide: width * Math.floor(times), crisp: true } : { wide: Math.round(width * times), crisp: false };
}
