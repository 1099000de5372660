// The panels of the player: waveform, pictures and lines, each in a sheet that is as long as the clip.

import { make, shape } from "./elements.js";
import { dbfs, fourDigits, short } from "./numbers.js";
import { levelOf, levelText, paletteLevels } from "./readout.js";
import { frequencyText, heightAt, hzAt } from "./regions.js";
import { colourScale, rowOf } from "./stage.js";
import {
  drawnTrace,
  envelope,
  extent,
  heightScale,
  nearestTime,
  outlinePath,
  tracePath,
  traceTicks,
} from "./timeline.js";

const TICK_EDGE = 0.05;
const WAVEFORM_COLUMNS = 1500;
const WAVEFORM_ROOM = 1.15; // half the height over that of the loudest sample

function canvas(alt, width, height, ...paths) {
  const box = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" };
  const svg = shape("svg", { ...box, role: "img", "aria-label": alt });
  svg.append(...paths);
  return svg;
}

function headRow(panel) {
  const head = make("div", "", { className: "head-row" });
  if (panel.colour) {
    const mark = make("i");
    mark.style.background = panel.colour;
    head.append(mark);
  }
  head.append(make("b", panel.label));
  if (panel.note) head.append(make("span", panel.note, { className: "note" }));
  if (panel.scale) head.append(colourScale(panel.scale));
  return head;
}

// A panel without its picture, which goes into `view` or, where it is drawn for the whole clip, into `sheet`.
function frameOf(panel) {
  const head = headRow(panel);
  const { body, view } = rowOf(panel.ticks, panel.height, TICK_EDGE);
  const [sheet, mark] = ["sheet", "mark"].map((name) => make("div", "", { className: name }));
  mark.hidden = true;
  sheet.append(mark);
  view.append(sheet);
  const element = make("div", "", { className: "panel" });
  element.append(head, body);
  return { element, head, view, sheet, mark, edges: panel.edges ?? null };
}

export function waveformFrame(samples, data, alt) {
  const columns = Math.min(WAVEFORM_COLUMNS, samples.length);
  const [lows, highs] = envelope(samples, columns);
  const peak = Math.max(1e-9, ...highs, ...lows.map((y) => -y));
  const full = data.peak || peak;
  const level = peak > 1e-6 ? `peak ${dbfs(peak)}` : "silent";
  const [low, high] = [0.5 - 0.5 / WAVEFORM_ROOM, 0.5 + 0.5 / WAVEFORM_ROOM];
  const ticks =
    full > 1e-6
      ? [
          [low, short(-full)],
          [0.5, "0"],
          [high, short(full)],
        ]
      : [[0.5, "0"]];
  const frame = frameOf({ label: "Waveform", note: `${level}, full scale is 1`, height: data.low ? 40 : 72, ticks });
  const zero = shape("path", { class: "zero", d: `M0 1H${columns}` });
  const wave = shape("path", { class: "wave", d: outlinePath(lows, highs, full * WAVEFORM_ROOM) });
  const drawing = canvas(`${alt}, ${level}`, columns - 1, 2, zero, wave);
  frame.view.prepend(drawing);
  frame.rescale = ({ from, to }) => {
    const at = (seconds) => Math.round((seconds / data.duration) * samples.length);
    const seen = samples.subarray(at(from), at(to));
    const outline = envelope(seen, Math.min(columns, seen.length));
    wave.setAttribute("d", outlinePath(...outline, full * WAVEFORM_ROOM));
    drawing.setAttribute("viewBox", `0 0 ${outline[0].length - 1} 2`);
  };
  return frame;
}

function pixelsOf(img) {
  const [width, height] = [img.naturalWidth, img.naturalHeight];
  if (!width) return null;
  const context = make("canvas", "", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(img, 0, 0);
  return { context, width, height };
}

function valueUnder(frame, img, scale, along, height) {
  frame.pixels ??= pixelsOf(img);
  if (!frame.pixels || along < 0 || along >= 1) return null;
  frame.levels ??= paletteLevels(scale.stops);
  const { context, width, height: rows } = frame.pixels;
  const row = Math.min(rows - 1, Math.floor((1 - height) * rows));
  const pixel = context.getImageData(Math.floor(along * width), row, 1, 1).data;
  return levelText(levelOf(frame.levels, pixel), scale);
}

export function pictureFrame(panel, { duration }) {
  const frame = frameOf(panel);
  const [from, to] = panel.span || [0, duration];
  const img = make("img", "", { alt: panel.alt, draggable: false });
  // A map of few windows is shown as they are: smoothing would invent values between them.
  img.onload = () => {
    img.style.imageRendering = img.naturalWidth < 120 ? "pixelated" : "auto";
  };
  img.src = `data:image/png;base64,${panel.png}`;
  Object.assign(img.style, { left: `${(100 * from) / duration}%`, width: `${(100 * (to - from)) / duration}%` });
  frame.sheet.prepend(img);
  frame.read = (seconds, height) => {
    const hz = hzAt(frame.edges, height);
    const isKnown = typeof panel.scale?.unit === "string";
    const value = isKnown ? valueUnder(frame, img, panel.scale, (seconds - from) / (to - from), height) : null;
    return [hz === null ? null : frequencyText(hz), value];
  };
  return frame;
}

export function traceFrame(panel, { duration }) {
  const { threshold, times, values } = panel;
  const range = extent(values, threshold);
  const share = heightScale(range);
  const limit = threshold === null ? null : `threshold ${fourDigits(threshold)} (dashed)`;
  const note = [panel.note, limit].filter(Boolean).join(" \u00b7 ");
  const frame = frameOf({ ...panel, note, ticks: traceTicks(range, share) });
  const path = shape("path", { class: "line", d: tracePath(...drawnTrace(times, values, duration), share) });
  path.style.stroke = panel.colour;
  const drawing = canvas(panel.alt, duration, 1, path);
  if (threshold !== null)
    drawing.prepend(shape("path", { class: "limit", d: `M0 ${1 - share(threshold)}H${duration}` }));
  frame.sheet.prepend(drawing);
  const shown = frame.head.appendChild(make("span", "", { className: "value" }));
  const valueAt = (seconds) => values[nearestTime(times, seconds)] ?? null;
  frame.at = (seconds) => {
    const value = valueAt(seconds);
    shown.textContent = value === null ? "" : `${fourDigits(value)} at the playhead`;
  };
  frame.read = (seconds) => {
    const value = valueAt(seconds);
    return [value === null ? null : fourDigits(value)];
  };
  return frame;
}

// Lay a panel's sheet out so that the stretch in view fills the panel.
export function layOut(frame, view, duration) {
  const length = view.to - view.from;
  Object.assign(frame.sheet.style, {
    left: `${(-100 * view.from) / length}%`,
    width: `${(100 * duration) / length}%`,
  });
  frame.rescale?.(view);
}

// Draw the rectangle of a region in a panel: over its whole height where the panel has no bands.
export function markRegion(frame, region, duration) {
  frame.mark.hidden = region === null;
  if (region === null) return;
  const low = heightAt(frame.edges, region.low) ?? 0;
  const high = heightAt(frame.edges, region.high) ?? 1;
  Object.assign(frame.mark.style, {
    left: `${(100 * region.from) / duration}%`,
    width: `${(100 * (region.to - region.from)) / duration}%`,
    bottom: `${100 * low}%`,
    height: `${100 * (high - low)}%`,
  });
}

// What is under a place of a panel, in words: "9.31 s · 5.1 kHz · -32 dB".
export function readoutText(frame, seconds, height) {
  const found = frame?.read?.(seconds, height) ?? [];
  return [`${seconds.toFixed(2)} s`, ...found.filter(Boolean)].join(" \u00b7 ");
}
