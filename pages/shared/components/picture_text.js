// What a saved picture needs of texts: its file's name, its caption in lines, colours that every program reads.

const LONGEST_NAME = 120;
// What XML cannot hold, however it is written (most control characters, and halves of characters), and marks that turn
// the direction of what follows.
const NOT_IN_XML = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]|[\u202A-\u202E\u2066-\u2069]/gu;

export const xmlSafe = (text) => text.replace(NOT_IN_XML, "");

// A file's name without its ending: letters and digits of any alphabet, everything else as hyphens.
export function pictureName(text) {
  const name = xmlSafe(text)
    .normalize("NFC")
    .replace(/[^\p{L}\p{N}_]+/gu, "-");
  return (
    [...name]
      .slice(0, LONGEST_NAME)
      .join("")
      .replace(/^-+|-+$/g, "") || "picture"
  );
}

function addWord(lines, word, fits) {
  const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
  return lines.length && fits(longer) ? [...lines.slice(0, -1), longer] : [...lines, word];
}

// The lines of a text of which none is wider than `width`; a single word may be.
export function linesWithin(text, width, widthOf) {
  const fits = (line) => widthOf(line) <= width;
  const words = (paragraph) => paragraph.split(/\s+/).filter(Boolean);
  return xmlSafe(text)
    .split("\n")
    .flatMap((paragraph) => words(paragraph).reduce((lines, word) => addWord(lines, word, fits), []));
}

// Browsers write mixed colours as `color(srgb 0.1 0.2 0.3 / 0.5)`, which other programs cannot read.
export function readableColour(text) {
  const found = /^color\(srgb ([\d.e+-]+) ([\d.e+-]+) ([\d.e+-]+)(?: \/ ([\d.e+-]+))?\)$/.exec(text);
  if (!found) return text;
  const [red, green, blue] = found.slice(1, 4).map((share) => Math.round(255 * Math.min(1, Math.max(0, share))));
  const opacity = found[4] === undefined ? 1 : +(+found[4]).toFixed(3);
  return opacity === 1 ? `rgb(${red}, ${green}, ${blue})` : `rgba(${red}, ${green}, ${blue}, ${opacity})`;
}
