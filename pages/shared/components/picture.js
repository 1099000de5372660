// A part of the page as one SVG that looks the same outside of it: boxes, texts, and the pictures within.

import { shape } from "./elements.js";
import { readableColour } from "./picture_text.js";

const NOT_PICTURED =
  ".saves, .modebar-container, [data-unsaved], input:not([type=text]), select, textarea, audio, script, style, template";
const COLOUR_STYLES = ["fill", "stroke", "stop-color", "color"];
const KEPT_STYLES = [
  ...COLOUR_STYLES,
  ...["opacity", "fill-opacity", "stroke-opacity", "stop-opacity", "fill-rule", "stroke-width", "stroke-dasharray"],
  ...["stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "vector-effect", "paint-order", "shape-rendering"],
  ...["font-family", "font-size", "font-weight", "font-style", "font-variant-numeric", "letter-spacing"],
  ...["text-anchor", "dominant-baseline", "visibility", "display", "mix-blend-mode", "white-space"],
];
const BOX_SIDES = ["Top", "Right", "Bottom", "Left"];
const SEE_THROUGH = /^(transparent|rgba\(.*, 0\)|color\(.*\/ 0\))$/;

const toHundredths = (value) => +value.toFixed(2);
const canvasOf = () => document.createElement("canvas").getContext("2d");

// Copy a picture with what style sheets say of each of its parts.
function copyStyles(source, copy) {
  const found = getComputedStyle(source);
  for (const name of KEPT_STYLES) {
    const value = found.getPropertyValue(name);
    if (value) copy.style.setProperty(name, COLOUR_STYLES.includes(name) ? readableColour(value) : value);
  }
  if (found.transform !== "none" && !source.hasAttribute("transform")) copy.style.transform = found.transform;
}

function withItsStyles(source) {
  const copy = source.cloneNode(true);
  const [sources, copies] = [source, copy].map((top) => [top, ...top.querySelectorAll("*")]);
  for (const [n, each] of sources.entries()) copyStyles(each, copies[n]);
  for (const each of copy.querySelectorAll("script, style")) each.remove();
  return copy;
}

function innerPicture(source, box) {
  const copy = withItsStyles(source);
  for (const name of ["position", "inset", "transform", "margin"]) copy.style.removeProperty(name);
  copy.removeAttribute("class");
  copy.style.overflow = getComputedStyle(source).overflow === "visible" ? "visible" : "hidden";
  for (const [name, value] of Object.entries(box)) copy.setAttribute(name, toHundredths(value));
  return copy;
}

function addressOf(image) {
  const address = image.currentSrc || image.src;
  if (address.startsWith("data:")) return address;
  const size = { width: image.naturalWidth, height: image.naturalHeight };
  const canvas = Object.assign(document.createElement("canvas"), size);
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL();
}

function pixelImage(source, box) {
  const href = source instanceof HTMLCanvasElement ? source.toDataURL() : addressOf(source);
  const place = Object.fromEntries(Object.entries(box).map(([name, value]) => [name, toHundredths(value)]));
  return shape("image", { ...place, href, preserveAspectRatio: "none" });
}

function borderEnds(side, { x, y, width, height }, thickness) {
  const half = thickness / 2;
  const [right, bottom] = [x + width - half, y + height - half];
  const ends = {
    Top: [x, y + half, x + width, y + half],
    Bottom: [x, bottom, x + width, bottom],
    Left: [x + half, y, x + half, y + height],
    Right: [right, y, right, y + height],
  }[side].map(toHundredths);
  return { x1: ends[0], y1: ends[1], x2: ends[2], y2: ends[3] };
}

const borderWidth = (found, side) => {
  const [width, style, colour] = ["Width", "Style", "Color"].map((what) => found[`border${side}${what}`]);
  return style === "none" || SEE_THROUGH.test(colour) ? 0 : parseFloat(width);
};

const borderDashes = (style, width) =>
  ({
    dashed: { "stroke-dasharray": `${3 * width} ${2 * width}` },
    dotted: { "stroke-dasharray": `${width} ${width}` },
  })[style] || {};

const lineStyle = (found, side, width) => ({
  stroke: readableColour(found[`border${side}Color`]),
  "stroke-width": width,
  ...borderDashes(found[`border${side}Style`], width),
});

function cornerOf(found, { width, height }) {
  const [radius, size] = [found.borderTopLeftRadius, Math.min(width, height)];
  return radius.endsWith("%") ? (parseFloat(radius) / 100) * size : Math.min(parseFloat(radius), size / 2);
}

// A box's background, with the border around it where that is alike on all sides: of `width`, or 0.
function pictureArea(place, found, box, width) {
  const isFilled = !SEE_THROUGH.test(found.backgroundColor);
  if (!isFilled && !width) return;
  const area = {
    x: toHundredths(box.x + width / 2),
    y: toHundredths(box.y + width / 2),
    width: toHundredths(Math.max(0, box.width - width)),
    height: toHundredths(Math.max(0, box.height - width)),
    rx: toHundredths(Math.max(0, cornerOf(found, box) - width / 2)),
    fill: isFilled ? readableColour(found.backgroundColor) : "none",
  };
  place.append(shape("rect", width ? { ...area, ...lineStyle(found, "Top", width) } : area));
}

// A background of stripes side by side, such as a bar, or a scale whose two halves differ in colour.
function pictureStripes(place, found, box) {
  if (!found.backgroundImage.startsWith("linear-gradient(to right")) return;
  const stops = [...found.backgroundImage.matchAll(/(\w+\([^()]*\)) ([\d.]+)(%|px)/g)];
  let from = 0;
  stops.forEach(([, colour, end, unit], n) => {
    const to = n === stops.length - 1 ? 1 : Math.max(from, +end / (unit === "%" ? 100 : box.width));
    const at = { x: toHundredths(box.x + from * box.width), width: toHundredths((to - from) * box.width) };
    const rows = { y: toHundredths(box.y), height: toHundredths(box.height) };
    if (!SEE_THROUGH.test(colour)) place.append(shape("rect", { ...at, ...rows, fill: readableColour(colour) }));
    from = to;
  });
}

// The background and the borders of an element, as it is drawn in a box that is not turned.
function pictureBox(place, found, box) {
  const widths = BOX_SIDES.map((side) => borderWidth(found, side));
  const isFramed = widths.every((width) => width > 0 && width === widths[0]);
  pictureArea(place, found, box, isFramed ? widths[0] : 0);
  pictureStripes(place, found, box);
  if (isFramed) return;
  BOX_SIDES.forEach((side, n) => {
    const width = widths[n];
    if (width) place.append(shape("line", { ...borderEnds(side, box, width), ...lineStyle(found, side, width) }));
  });
}

function textNode(text, found, attributes) {
  const node = shape("text", {
    ...attributes,
    fill: readableColour(found.color),
    "font-family": found.fontFamily,
    "font-size": found.fontSize,
    "font-weight": found.fontWeight,
    "font-style": found.fontStyle,
  });
  if (found.fontVariantNumeric !== "normal") node.style.fontVariantNumeric = found.fontVariantNumeric;
  node.textContent = found.textTransform === "uppercase" ? text.toUpperCase() : text;
  return node;
}

function ascentShare(found) {
  const canvas = canvasOf();
  canvas.font = `${found.fontStyle} ${found.fontWeight} ${found.fontSize} ${found.fontFamily}`;
  const { fontBoundingBoxAscent, fontBoundingBoxDescent } = canvas.measureText("x");
  return fontBoundingBoxAscent / (fontBoundingBoxAscent + fontBoundingBoxDescent);
}

// The words of a text, joined where they share a line.
function linesOfText(node) {
  const [range, lines] = [document.createRange(), []];
  for (const { 0: word, index } of node.data.matchAll(/\S+/g)) {
    range.setStart(node, index);
    range.setEnd(node, index + word.length);
    const box = range.getBoundingClientRect();
    if (!box.width) continue;
    const last = lines.at(-1);
    if (last && Math.abs(last.top - box.top) < box.height / 2) last.words.push(word);
    else lines.push({ words: [word], left: box.left, top: box.top, height: box.height });
  }
  return lines;
}

function pictureText(place, node, found, origin) {
  for (const { words, left, top, height } of linesOfText(node)) {
    const at = { x: toHundredths(left - origin.left), y: toHundredths(top - origin.top + height * ascentShare(found)) };
    place.append(textNode(words.join(" "), found, at));
  }
}

function turnedBy(found) {
  const turned = found.rotate !== "none" ? parseFloat(found.rotate) : 0;
  if (found.transform === "none") return turned;
  const matrix = new DOMMatrix(found.transform);
  return turned + (Math.atan2(matrix.b, matrix.a) * 180) / Math.PI;
}

// An element that is turned, or written downwards: its box and its text, around its middle.
function pictureTurned(place, element, { found, box }) {
  const turn = turnedBy(found);
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const [width, height] = [element.offsetWidth, element.offsetHeight];
  const group = shape("g", { transform: `rotate(${toHundredths(turn)} ${toHundredths(x)} ${toHundredths(y)})` });
  pictureBox(group, found, { x: x - width / 2, y: y - height / 2, width, height });
  place.append(group);
  const text = element.textContent.trim();
  if (!text) return;
  const downwards = found.writingMode.startsWith("vertical") ? 90 : 0;
  const middle = parseFloat(found.fontSize) * 0.34;
  const at = { x: toHundredths(x), y: toHundredths(y + middle), "text-anchor": "middle" };
  place.append(
    textNode(text, found, {
      ...at,
      transform: `rotate(${toHundredths(turn + downwards)} ${toHundredths(x)} ${toHundredths(y)})`,
    }),
  );
}

// A field with the text that is typed into it.
function pictureField(place, element, { found, box }) {
  pictureBox(place, found, box);
  const isAtEnd = ["right", "end"].includes(found.textAlign);
  const x = isAtEnd ? box.x + box.width - parseFloat(found.paddingRight) : box.x + parseFloat(found.paddingLeft);
  const y = box.y + box.height / 2 + parseFloat(found.fontSize) * 0.34;
  const at = { x: toHundredths(x), y: toHundredths(y), "text-anchor": isAtEnd ? "end" : "start" };
  place.append(textNode(element.value, found, at));
}

// A mark before an element's text, such as the dot of its colour: as wide as it says, level with its first line.
function pictureMark(place, element, box) {
  const found = getComputedStyle(element, "::before");
  const [width, height] = [parseFloat(found.width), parseFloat(found.height)];
  const isDrawn = found.content !== "none" && found.position === "static" && width > 0;
  if (!isDrawn || SEE_THROUGH.test(found.backgroundColor)) return;
  const own = getComputedStyle(element);
  const [left, middle] = [box.x + parseFloat(own.paddingLeft), box.y + box.height / 2];
  pictureBox(place, found, { x: left, y: middle - height / 2, width, height });
}

const hidesMore = (element) =>
  element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1;

function cutTo(place, element, box) {
  if (getComputedStyle(element).overflow === "visible" || !hidesMore(element)) return place;
  const id = `cut-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  const path = shape("clipPath", { id });
  path.append(shape("rect", box));
  const group = shape("g", { "clip-path": `url(#${id})` });
  place.append(path, group);
  return group;
}

const isUnseen = (element, found) =>
  element.matches(NOT_PICTURED) || found.display === "none" || found.visibility === "hidden" || found.opacity === "0";

// What only a screen reader gets is a pixel wide.
const isForReaders = ({ width, height }, found) => width <= 1 && height <= 1 && found.overflow !== "visible";

function pictureElement(place, element, origin) {
  const found = getComputedStyle(element);
  if (isUnseen(element, found)) return;
  const { left, top, width, height } = element.getBoundingClientRect();
  const box = { x: left - origin.left, y: top - origin.top, width, height };
  if (isForReaders(box, found)) return;
  const inside = shape("g", found.opacity === "1" ? {} : { opacity: found.opacity });
  pictureContent(inside, element, { found, box, origin });
  place.append(...(found.opacity === "1" ? inside.childNodes : [inside]));
}

function pictureContent(place, element, { found, box, origin }) {
  if (element instanceof SVGSVGElement) place.append(innerPicture(element, box));
  else if (element instanceof HTMLInputElement) pictureField(place, element, { found, box });
  else if (element instanceof HTMLCanvasElement || element instanceof HTMLImageElement)
    place.append(pixelImage(element, box));
  else if (turnedBy(found) || found.writingMode.startsWith("vertical")) pictureTurned(place, element, { found, box });
  else {
    pictureBox(place, found, box);
    pictureMark(place, element, box);
    pictureChildren(cutTo(place, element, box), element, origin);
  }
}

function pictureChildren(place, element, origin) {
  const found = getComputedStyle(element);
  for (const child of (element.shadowRoot ?? element).childNodes) {
    if (child instanceof Text) pictureText(place, child, found, origin);
    else if (child instanceof Element) pictureElement(place, child, origin);
  }
}

// An element of the page as a group of shapes, and its size in pixelImage.
export function pictureOf(element) {
  const origin = element.getBoundingClientRect();
  const group = shape("g", {});
  pictureElement(group, element, origin);
  return { group, width: origin.width, height: origin.height };
}
