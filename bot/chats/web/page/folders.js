// Files in folders: those that were dropped with their folders, and where each one lay.

/** @type {WeakMap<File, string>} */ const paths = new WeakMap();

/** The path of a file within the folder that it came in, or its name. */
export const pathOf = (/** @type {File} */ file) => paths.get(file) || file.webkitRelativePath || file.name;

/** All files of a drop, those in folders too. To be called while the drop is dispatched: later its list is empty. */
export async function filesIn(/** @type {DataTransfer} */ transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const files = [];
  for (const entry of entries) for await (const file of filesUnder(entry)) files.push(file);
  return files.sort((a, b) => pathOf(a).localeCompare(pathOf(b)));
}

async function* filesUnder(/** @type {any} */ entry) {
  if (entry.name.startsWith(".")) return;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    paths.set(file, entry.fullPath.replace(/^\//, ""));
    yield file;
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (!some.length) return;
    for (const inner of some) yield* filesUnder(inner);
  }
}
