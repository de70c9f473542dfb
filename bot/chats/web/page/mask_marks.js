// What is drawn over a picture: strokes in the picture's own pixels, with undo and redo, drawn at any size.

/** @typedef {{erase: boolean, points: [number, number, number][]}} Stroke points are x, y and width */
/** @typedef {Stroke|"invert"|"clear"} Mark */

export class Marks {
  constructor(/** @type {number} */ width, /** @type {number} */ height) {
    this.width = width;
    this.height = height;
    /** @type {Mark[]} */ this.done = [];
    /** @type {Mark[]} */ this.undone = [];
  }

  add(/** @type {Mark} */ mark) {
    this.done.push(mark);
    this.undone = [];
  }

  undo() {
    if (this.done.length) this.undone.push(this.done.pop());
  }

  redo() {
    if (this.undone.length) this.done.push(this.undone.pop());
  }
}

/** Draw all marks anew, `scale` pixels for one of the picture, in this colour or pattern. */
export function drawMarks(/** @type {CanvasRenderingContext2D} */ context, /** @type {Marks} */ marks, /** @type {number} */ scale, paint) {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  for (const mark of marks.done) {
    if (mark === "clear") context.clearRect(0, 0, width, height);
    else if (mark === "invert") fillRest(context, paint);
    else drawStroke(context, mark, 0, scale, paint);
  }
}

/** Draw a stroke from the point `first` on: what it had before stands there already. */
export function drawStroke(/** @type {CanvasRenderingContext2D} */ context, /** @type {Stroke} */ { erase, points }, /** @type {number} */ first, /** @type {number} */ scale, paint) {
  context.globalCompositeOperation = erase ? "destination-out" : "source-over";
  context.strokeStyle = context.fillStyle = paint;
  context.lineCap = context.lineJoin = "round";
  if (first === 0) drawDot(context, points[0], scale);
  for (let at = Math.max(1, first); at < points.length; at++) {
    const [x, y, width] = points[at];
    const [fromX, fromY] = points[at - 1];
    context.lineWidth = width * scale;
    context.beginPath();
    context.moveTo(fromX * scale, fromY * scale);
    context.lineTo(x * scale, y * scale);
    for (; points[at + 1]?.[2] === width; at++) context.lineTo(points[at + 1][0] * scale, points[at + 1][1] * scale);
    context.stroke();
  }
}

/** A line of no length would draw nothing. */
function drawDot(/** @type {CanvasRenderingContext2D} */ context, [x, y, width], /** @type {number} */ scale) {
  context.beginPath();
  context.arc(x * scale, y * scale, (width * scale) / 2, 0, 2 * Math.PI);
  context.fill();
}

function fillRest(/** @type {CanvasRenderingContext2D} */ context, paint) {
  context.globalCompositeOperation = "source-out"; // where nothing is, and nothing where something is
  context.fillStyle = paint;
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
}

/** How much of it is marked, 0 to 1, as it is drawn there. */
export function shareMarked(/** @type {CanvasRenderingContext2D} */ context) {
  const { data } = context.getImageData(0, 0, context.canvas.width, context.canvas.height);
  let marked = 0;
  for (let at = 3; at < data.length; at += 4) if (data[at] > 127) marked++;
  return marked / (data.length / 4);
}

/** The marks as a mask of the picture's own size, white on black: a PNG. @returns {Promise<File>} */
export async function maskFile(/** @type {Marks} */ marks) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: marks.width, height: marks.height });
  const context = canvas.getContext("2d");
  drawMarks(context, marks, 1, "#fff");
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const png = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!png) throw new Error("The mask could not be made. Say a place in words.");
  return new File([png], "mask.png", { type: "image/png" });
}
