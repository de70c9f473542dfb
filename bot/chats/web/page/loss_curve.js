// A loss curve: each step's loss thin, the same smoothed bold, validation as dots, the best checkpoint marked.

import { el } from "./dom.js";

/** @typedef {[number, number]} Point */
/** @typedef {{steps: number, losses: Point[], smoothed: Point[], validation: Point[], best: number|null}} Curve */

const OUTLIERS = 0.02; // this share of the raw losses may leave the picture at either end
const TICKS = 4;

function svg(/** @type {string} */ tag, props = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/** 0.0834, 0.150, 0.000120: three digits that count. */
export function lossText(/** @type {number} */ value) {
  return value.toPrecision(3);
}

/** A round distance between ticks, so that about TICKS of them fit. */
function tickDistance(/** @type {number} */ span) {
  const rough = span / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((times) => times * power).find((round) => round >= rough) ?? rough;
}

function ticks(/** @type {number} */ low, /** @type {number} */ high) {
  const by = tickDistance(high - low);
  const first = Math.ceil(low / by - 1e-9);
  const values = [];
  for (let nth = first; nth * by <= high + by * 1e-9; nth++) values.push(Number((nth * by).toPrecision(6)));
  return values;
}

/** From which value to which: what is smooth is all in sight, single wild losses need not be. */
function range(/** @type {Curve} */ { losses, smoothed, validation }) {
  const raw = losses.map(([, value]) => value).sort((a, b) => a - b);
  const at = (share) => raw[Math.round(share * (raw.length - 1))];
  const visible = [...smoothed, ...validation].map(([, value]) => value);
  if (raw.length) visible.push(at(OUTLIERS), at(1 - OUTLIERS));
  const low = Math.min(...visible);
  const high = Math.max(...visible);
  const margin = (high - low || Math.abs(high) || 1) * 0.08;
  return { low: Math.max(0, low - margin), high: high + margin };
}

/** What the curve says, in words. */
function curveLabel(/** @type {Curve} */ { losses, smoothed, validation, best }) {
  const line = smoothed.length ? smoothed : losses;
  const parts = [`Loss curve over ${line.at(-1)?.[0] ?? 0} steps`];
  if (line.length) parts.push(`from ${lossText(line[0][1])} to ${lossText(line[line.length - 1][1])}`);
  const marked = validation.find(([step]) => step === best);
  if (marked) parts.push(`best checkpoint at step ${best} with a validation loss of ${lossText(marked[1])}`);
  return parts.join(", ");
}

/** The curve as a figure that fills its width; null where there is nothing to draw yet. */
export function drawCurve(/** @type {Curve} */ curve) {
  const { losses, smoothed, validation, best } = curve;
  const points = [...losses, ...smoothed, ...validation];
  if (points.length < 2) return null;
  const { low, high } = range(curve);
  const last = Math.max(curve.steps || 0, ...points.map(([step]) => step), 1);
  const x = (step) => (step / last) * 100;
  const y = (value) => Math.min(100, Math.max(0, ((high - value) / (high - low)) * 100));
  const path = (line) => line.map(([step, value], nth) => `${nth ? "L" : "M"}${x(step).toFixed(2)} ${y(value).toFixed(2)}`).join("");
  const rows = ticks(low, high);
  const columns = ticks(0, last).filter((step) => Number.isInteger(step));
  // Everything is stretched to the width it gets; only strokes keep their size, so a dot is a stroke of no length.
  const drawing = svg(
    "svg",
    { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": curveLabel(curve) },
    svg("path", { class: "rule", d: rows.map((value) => `M0 ${y(value).toFixed(2)}H100`).join("") }),
    svg("path", { class: "raw", d: path(losses) }),
    svg("path", { class: "smooth", d: path(smoothed) }),
    svg("path", { class: "checked", d: path(validation) }),
    ...validation.map(([step, value]) => svg("path", { class: step === best ? "dot best" : "dot", d: `M${x(step).toFixed(2)} ${y(value).toFixed(2)}h0` })),
  );
  const label = (kind, where, words) => el("span", { class: kind, style: where, "aria-hidden": "true" }, words);
  const field = el(
    "div",
    { class: "field-of-curve" },
    drawing,
    ...rows.map((value) => label("tick row", { top: `${y(value)}%` }, String(value))),
    ...columns.map((step) => label("tick column", { left: `${x(step)}%` }, String(step))),
  );
  followPointer(field, curve, { x, last });
  return el("figure", { class: "curve" }, legend(curve), field);
}

function legend(/** @type {Curve} */ { losses, smoothed, validation, best }) {
  const entry = (kind, words) => el("span", { class: `key ${kind}` }, words);
  const marked = validation.find(([step]) => step === best);
  return el(
    "figcaption",
    {},
    smoothed.length ? entry("smooth", "Smoothed loss") : null,
    losses.length ? entry("raw", "Each step") : null,
    validation.length ? entry("checked", "Validation") : null,
    marked ? entry("best", `Best: step ${best}`) : null,
  );
}

/** Under the pointer the curve says its numbers. */
function followPointer(field, /** @type {Curve} */ curve, { x, last }) {
  const distance = (point, step) => Math.abs(point[0] - step);
  const nearest = (points, step) => points.reduce((best, point) => (!best || distance(point, step) < distance(best, step) ? point : best), null);
  const marker = el("span", { class: "pointer-line", hidden: true, "aria-hidden": "true" });
  const label = el("span", { class: "pointer-label", hidden: true, "aria-hidden": "true" });
  field.append(marker, label);
  field.addEventListener("pointermove", (event) => {
    const box = field.getBoundingClientRect();
    const point = nearest(curve.smoothed.length ? curve.smoothed : curve.losses, ((event.clientX - box.left) / box.width) * last);
    if (!point) return;
    const check = curve.validation.find(([step]) => Math.abs(step - point[0]) < last / 60);
    const [step] = check ?? point;
    marker.style.setProperty("left", `${x(step)}%`);
    label.style.setProperty("left", `${Math.min(86, Math.max(14, x(step)))}%`);
    label.textContent = `Step ${step} · loss ${lossText(point[1])}${check ? ` · validation ${lossText(check[1])}` : ""}`;
    marker.hidden = label.hidden = false;
  });
  field.addEventListener("pointerleave", () => (marker.hidden = label.hidden = true));
}
