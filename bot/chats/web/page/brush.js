// The brush: a picture, and over it what somebody marks of it with mouse, touch, pen or keys.

import { $ } from "./dom.js";
import { displaySize } from "./format.js";
import { Marks, drawMarks, drawStroke, shareMarked } from "./mask_marks.js";

const SIZE = { smallest: 1, usual: 16, largest: 60 }; // of the brush, in percent of the picture's shorter side
const FASTER = 1.25; // times, for each press of [ and ]
const STRIPE = 6; // CSS pixels: stripes of two colours are seen on every picture
const COLOURS = ["#ff2d55", "#ffffff"];
const PEN_ERASER = 32; // of a pointer's buttons
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const brush = {
  marks: new Marks(1, 1),
  erase: false,
  scale: 1, // CSS pixels for one of the picture
  cursor: { x: 0, y: 0 }, // in pixels of the picture
  /** @type {import("./mask_marks.js").Stroke|null} */ stroke: null, // under way
  /** @type {number|null} */ pointer: null, // which draws it; null is the keyboard
  /** @type {CanvasRenderingContext2D|null} */ context: null,
};

/** Let somebody draw over the picture at this address. Marks of the same picture go on.
 * @param {{address: string, marks: Marks|null, words: string, label: string, submit: string}} given
 * @returns {Promise<{marks: Marks, share: number, words: string, send: boolean}>} */
export async function drawOver({ address, marks, words, label, submit }) {
  const picture = $("brush-picture");
  picture.src = address;
  await picture.decode().catch(() => {
    throw new Error("This picture cannot be shown here. Say a place in words, or send a mask.");
  });
  const { naturalWidth: width, naturalHeight: height } = picture;
  brush.marks = marks?.width === width && marks.height === height ? marks : new Marks(width, height);
  brush.cursor = { x: width / 2, y: height / 2 };
  brush.context = $("brush-mask").getContext("2d", { willReadFrequently: true });
  $("brush-words").value = words;
  $("brush-label").textContent = label;
  $("brush-send").textContent = submit;
  $("brush-wrong").textContent = "";
  listen();
  chooseTool(false);
  $("brush").returnValue = "";
  $("brush").showModal();
  fit();
  const observer = new ResizeObserver(fit);
  observer.observe($("stage"));
  $("brush-mask").focus();
  await new Promise((resolve) => $("brush").addEventListener("close", resolve, { once: true }));
  observer.disconnect();
  endStroke();
  return { marks: brush.marks, share: shareMarked(brush.context), words: $("brush-words").value, send: $("brush").returnValue === "send" };
}

function listen() {
  const stage = $("stage");
  stage.onpointerdown = startByPointer;
  stage.onpointermove = moveByPointer;
  stage.onpointerup = stage.onpointercancel = (event) => event.pointerId === brush.pointer && endStroke();
  stage.onpointerleave = () => brush.stroke || stage.classList.remove("hovered");
  stage.oncontextmenu = (event) => event.preventDefault(); // a long touch draws
  $("brush-mask").onkeydown = onCanvasKey;
  $("brush-mask").onkeyup = (event) => event.key === " " && brush.pointer === null && endStroke();
  $("brush-mask").onblur = endStroke;
  $("brush").onkeydown = onToolKey;
  $("brush-size").oninput = drawRing;
  $("brush-paint").onclick = () => chooseTool(false);
  $("brush-erase").onclick = () => chooseTool(true);
  $("brush-undo").onclick = () => change(() => brush.marks.undo());
  $("brush-redo").onclick = () => change(() => brush.marks.redo());
  $("brush-invert").onclick = () => change(() => brush.marks.add("invert"));
  $("brush-clear").onclick = () => change(() => brush.marks.add("clear"));
  $("brush").querySelector("form").onsubmit = refuseEmpty;
}

/** Draw the picture as large as there is room, and the marks in the screen's own pixels. */
function fit() {
  const { width, height } = brush.marks;
  const { clientWidth, clientHeight } = $("stage");
  if (!clientWidth || !clientHeight) return;
  const longest = Math.max(width, height) * Math.min(clientWidth / width, clientHeight / height);
  const { wide, crisp } = displaySize({ width, height }, longest);
  brush.scale = wide / width;
  const canvas = $("brush-mask");
  const density = window.devicePixelRatio;
  Object.assign(canvas, { width: Math.round(wide * density), height: Math.round(height * brush.scale * density) });
  $("easel").style.width = `${wide}px`;
  $("easel").style.height = `${height * brush.scale}px`;
  $("brush-picture").classList.toggle("pixels", crisp);
  brush.paint = stripes(density);
  drawAll();
}

/** Slanted stripes of both colours. */
function stripes(/** @type {number} */ density) {
  const side = Math.round(2 * STRIPE * density);
  const tile = document.createElement("canvas");
  tile.width = tile.height = side;
  const context = tile.getContext("2d");
  context.fillStyle = COLOURS[1];
  context.fillRect(0, 0, side, side);
  context.strokeStyle = COLOURS[0];
  context.lineWidth = side / Math.SQRT2 / 1.5;
  for (const shift of [-side, 0, side]) {
    context.beginPath();
    context.moveTo(shift - side, side * 2);
    context.lineTo(shift + side * 2, -side);
    context.stroke();
  }
  return brush.context.createPattern(tile, "repeat");
}

const canvasScale = () => $("brush-mask").width / brush.marks.width;
const brushWidth = () => Math.max(1, (Math.min(brush.marks.width, brush.marks.height) * Number($("brush-size").value)) / 100);

function drawAll() {
  drawMarks(brush.context, brush.marks, canvasScale(), brush.paint);
  drawRing();
  tellShare();
}

/** Where the brush is, and how large. */
function drawRing() {
  const ring = $("brush-ring");
  const wide = brushWidth() * brush.scale;
  ring.style.width = ring.style.height = `${wide}px`;
  ring.style.left = `${brush.cursor.x * brush.scale}px`;
  ring.style.top = `${brush.cursor.y * brush.scale}px`;
  $("brush-percent").textContent = `${Math.round(Number($("brush-size").value))}%`;
}

function change(/** @type {() => void} */ what) {
  endStroke();
  what();
  $("brush-wrong").textContent = "";
  drawAll();
}

function tellShare() {
  const share = shareMarked(brush.context);
  const percent = Math.round(share * 100);
  $("brush-marked").textContent = share === 0 ? "Nothing is marked yet" : `${percent || "Under 1"}% of the picture is marked`;
  $("brush-undo").setAttribute("aria-disabled", String(!brush.marks.done.length)); // a disabled one would keep the keys
  $("brush-redo").setAttribute("aria-disabled", String(!brush.marks.undone.length));
}

function chooseTool(/** @type {boolean} */ erase) {
  brush.erase = erase;
  $("brush-paint").setAttribute("aria-pressed", String(!erase));
  $("brush-erase").setAttribute("aria-pressed", String(erase));
}

// Strokes

function startStroke(/** @type {number|null} */ pointer, /** @type {boolean} */ erase, width = brushWidth()) {
  brush.pointer = pointer;
  brush.stroke = { erase, points: [] };
  brush.marks.add(brush.stroke);
  extendStroke(width);
}

function extendStroke(width = brushWidth()) {
  const { stroke, cursor } = brush;
  stroke.points.push([cursor.x, cursor.y, width]);
  drawStroke(brush.context, stroke, stroke.points.length - 1, canvasScale(), brush.paint);
}

function endStroke() {
  if (!brush.stroke) return;
  brush.stroke = null;
  brush.pointer = null;
  $("brush-wrong").textContent = "";
  tellShare();
}

function moveCursor(/** @type {PointerEvent} */ { clientX, clientY }) {
  const { left, top } = $("brush-mask").getBoundingClientRect();
  brush.cursor = { x: (clientX - left) / brush.scale, y: (clientY - top) / brush.scale };
}

/** A pen that is pressed lightly draws thinner. */
const widthOf = (/** @type {PointerEvent} */ { pointerType, pressure }) => brushWidth() * (pointerType === "pen" && pressure ? 0.3 + 0.7 * pressure : 1);

function startByPointer(/** @type {PointerEvent} */ event) {
  if (brush.stroke || (event.button !== 0 && !(event.buttons & PEN_ERASER))) return;
  event.preventDefault();
  $("stage").setPointerCapture(event.pointerId);
  $("stage").classList.add("hovered");
  $("brush-mask").focus({ preventScroll: true });
  moveCursor(event);
  startStroke(event.pointerId, brush.erase || Boolean(event.buttons & PEN_ERASER), widthOf(event));
  drawRing();
}

function moveByPointer(/** @type {PointerEvent} */ event) {
  const draws = brush.stroke && event.pointerId === brush.pointer;
  if (brush.stroke && !draws) return; // a second finger
  $("stage").classList.add("hovered");
  for (const part of draws ? event.getCoalescedEvents?.() || [] : []) {
    moveCursor(part);
    extendStroke(widthOf(part));
  }
  moveCursor(event);
  if (draws) extendStroke(widthOf(event));
  drawRing();
}

// Keys

function onCanvasKey(/** @type {KeyboardEvent} */ event) {
  const { key, shiftKey } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || (brush.stroke && brush.pointer !== null)) return;
  if (STEPS[key]) step(STEPS[key], shiftKey ? Math.max(1, Math.min(brush.marks.width, brush.marks.height) / 100) : brushWidth() / 2);
  else if (key === " ") brush.stroke || startStroke(null, brush.erase);
  else return;
  event.preventDefault();
}

function step([x, y], /** @type {number} */ far) {
  const { width, height } = brush.marks;
  brush.cursor = { x: clamp(brush.cursor.x + x * far, width), y: clamp(brush.cursor.y + y * far, height) };
  if (brush.stroke) extendStroke();
  drawRing();
  const percent = (/** @type {number} */ at, /** @type {number} */ of) => Math.round((100 * at) / of);
  $("brush-at").textContent = `${percent(brush.cursor.x, width)}% from the left, ${percent(brush.cursor.y, height)}% from the top, ${marked() ? "marked" : "not marked"}`;
}

const clamp = (/** @type {number} */ at, /** @type {number} */ end) => Math.min(end, Math.max(0, at));

/** Whether the pixel under the cursor is. */
function marked() {
  const { width, height } = $("brush-mask");
  const [x, y] = [brush.cursor.x, brush.cursor.y].map((at) => Math.floor(at * canvasScale()));
  return brush.context.getImageData(Math.min(x, width - 1), Math.min(y, height - 1), 1, 1).data[3] > 127;
}

function onToolKey(/** @type {KeyboardEvent} */ event) {
  const writes = event.target instanceof HTMLTextAreaElement;
  if (writes) return;
  const key = event.key.toLowerCase();
  const command = event.ctrlKey || event.metaKey;
  if (key === "[" || key === "]") resize(key === "[" ? 1 / FASTER : FASTER);
  else if (command && key === "z") change(() => (event.shiftKey ? brush.marks.redo() : brush.marks.undo()));
  else if (command && key === "y") change(() => brush.marks.redo());
  else if (command || event.altKey) return;
  else if (key === "b" || key === "e") chooseTool(key === "e");
  else if (key === "i") change(() => brush.marks.add("invert"));
  else if (key === "delete") change(() => brush.marks.add("clear"));
  else return;
  event.preventDefault();
}

function resize(/** @type {number} */ times) {
  const size = $("brush-size");
  size.value = String(Math.min(SIZE.largest, Math.max(SIZE.smallest, Number(size.value) * times)));
  drawRing();
}

/** Nothing that would be refused is sent. */
function refuseEmpty(/** @type {SubmitEvent} */ event) {
  const share = shareMarked(brush.context);
  if (event.submitter !== $("brush-send") || (share > 0 && share < 1)) return;
  event.preventDefault();
  $("brush-wrong").textContent = share ? "All of it is marked. Leave a part as it is." : "Nothing is marked. Draw over what should change.";
}
