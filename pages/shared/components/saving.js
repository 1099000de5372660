// Two small buttons beside a figure: keep it as PNG or SVG, with its caption under it.

import { make, shape } from "./elements.js";
import { pictureOf } from "./picture.js";
import { linesWithin, pictureName, xmlSafe } from "./picture_text.js";

const [SHEET_EDGE, LEAST_WIDTH, LETTER_SIZE, CAPTION_LINE, PNG_SHARPNESS] = [16, 320, 14, 19, 2];
const SAVE_BUTTON_LOOK = {
  display: "var(--asd-desk, inline-block)",
  font: "inherit",
  fontSize: "0.75rem",
  lineHeight: "1.25rem",
  padding: "0 0.4rem",
  marginLeft: "0.25rem",
  border: "1px solid color-mix(in srgb, var(--st-text-color) 25%, transparent)",
  borderRadius: "0.3rem",
  background: "none",
  color: "color-mix(in srgb, var(--st-text-color) 75%, transparent)",
  cursor: "pointer",
};

const fontFaces = () =>
  [...document.styleSheets].flatMap((sheet) => {
    try {
      return [...sheet.cssRules].filter((rule) => rule instanceof CSSFontFaceRule).map((rule) => [rule, sheet]);
    } catch {
      return []; // a sheet of another address, such as an extension's: its rules are not for us to read
    }
  });

const dataAddress = (blob) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

const isUpright = (style, families) =>
  families.includes(style.getPropertyValue("font-family").replaceAll(/["']/g, "")) &&
  style.getPropertyValue("font-style") !== "italic";

// The page's upright text font as a style sheet that needs no other file; empty where it has none of its own.
async function fontSheet(families) {
  const [rule, sheet] = fontFaces().find(([{ style }]) => isUpright(style, families)) ?? [];
  const source = rule?.style.getPropertyValue("src").match(/url\(["']?([^"')]+)/)?.[1];
  if (!source) return "";
  const answer = await fetch(new URL(source, sheet.href || document.baseURI));
  if (!answer.ok) return "";
  const address = await dataAddress(await answer.blob());
  const says = (name) => `${name}:${rule.style.getPropertyValue(name)};`;
  return `@font-face{${says("font-family")}${says("font-weight")}src:url("${address}") format("woff2");}`;
}

const parsedSvg = (text) => document.adoptNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement);

// A picture that is not on the page, or only its text, is laid out beside it for a moment, so that styles apply.
function laidOut(host, given) {
  const element = typeof given === "string" ? parsedSvg(given) : given;
  if (element.isConnected) return pictureOf(element);
  const shelf = make("div");
  Object.assign(shelf.style, { position: "absolute", left: "-20000px", top: "0" });
  shelf.append(element);
  (host.getRootNode().body ?? host.getRootNode()).append(shelf);
  try {
    return pictureOf(element);
  } finally {
    shelf.remove();
  }
}

function themeOf(host) {
  const theme = getComputedStyle(host);
  const says = (name, otherwise) => theme.getPropertyValue(`--st-${name}`).trim() || otherwise;
  return { ink: says("text-color", "#000"), paper: says("background-color", "#fff"), font: says("font", "sans-serif") };
}

function textOf(tag, text, attributes = {}) {
  const node = shape(tag, attributes);
  node.textContent = text;
  return node;
}

function captionLines(caption, width, font) {
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.font = `${LETTER_SIZE}px ${font}`;
  return linesWithin(caption, width, (text) => canvas.measureText(text).width);
}

// The whole file: the picture on the theme's background, and the caption under it.
async function sheetOf(host, given, caption) {
  const { group, width, height } = laidOut(host, given);
  const { ink, paper, font } = themeOf(host);
  const inner = Math.max(width, LEAST_WIDTH);
  const lines = captionLines(caption, inner, font);
  const below = lines.length && SHEET_EDGE / 2 + lines.length * CAPTION_LINE;
  const size = [inner, height + below].map((length) => Math.ceil(length + 2 * SHEET_EDGE));
  const svg = shape("svg", { width: size[0], height: size[1], viewBox: `0 0 ${size[0]} ${size[1]}` });
  group.setAttribute("transform", `translate(${SHEET_EDGE} ${SHEET_EDGE})`);
  const look = { x: SHEET_EDGE, "font-family": font, "font-size": LETTER_SIZE, fill: ink };
  const first = height + SHEET_EDGE * 1.5 + LETTER_SIZE;
  svg.append(
    textOf("title", lines.join(" ")),
    textOf("style", await fontSheet(font)),
    shape("rect", { width: size[0], height: size[1], fill: paper }),
    group,
    ...lines.map((line, n) => textOf("text", line, { ...look, y: first + n * CAPTION_LINE })),
  );
  return { text: xmlSafe(new XMLSerializer().serializeToString(svg)), size };
}

async function asPng({ text, size }) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const [width, height] = size.map((length) => PNG_SHARPNESS * length);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").drawImage(image, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function handOver(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", "", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

async function savePicture(host, kind, given, { file, caption }) {
  const sheet = await sheetOf(host, given, caption);
  const blob = kind === "SVG" ? new Blob([sheet.text], { type: "image/svg+xml" }) : await asPng(sheet);
  handOver(blob, `${pictureName(file)}.${kind.toLowerCase()}`);
}

function saveButton(host, kind, memory) {
  const button = make("button", kind, { type: "button", title: `Save this picture as ${kind}` });
  Object.assign(button.style, SAVE_BUTTON_LOOK);
  button.onclick = async () => {
    button.disabled = true;
    try {
      await savePicture(host, kind, memory.picture(), memory.words);
      button.textContent = kind;
    } catch (error) {
      button.textContent = `${kind}: could not be saved`;
      throw error;
    } finally {
      button.disabled = false;
    }
  };
  return button;
}

// Put the two buttons into `host`, once; call it again whenever the words change.
//
// `picture()` returns what is saved, at the moment of the press: an element (of the page or not), or an SVG's text.
// `words.file` names the file without its ending, `words.caption` (with the data set) is written under the picture.
export function savePictures(host, picture, words) {
  let box = [...host.children].find((child) => child.className === "saves");
  if (!box) {
    box = make("span", "", { className: "saves" });
    box.memory = {};
    box.append(...["PNG", "SVG"].map((kind) => saveButton(host, kind, box.memory)));
    host.append(box);
  }
  Object.assign(box.memory, { picture, words });
}
