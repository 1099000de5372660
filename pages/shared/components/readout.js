// What lies under the cursor: the value that a picture's colour stands for, read back from its palette.

const LEVELS = 256;

const channels = (stop) => [1, 3, 5].map((at) => Number.parseInt(stop.slice(at, at + 2), 16));
const packed = (red, green, blue) => (red << 16) | (green << 8) | blue;

// Level 0 to 255 of each colour of a palette given by evenly spaced stops, as heatmap_png draws it.
export function paletteLevels(stops) {
  const colours = stops.map(channels);
  const levels = new Map();
  for (let level = LEVELS - 1; level >= 0; level -= 1) {
    const at = (level / (LEVELS - 1)) * (colours.length - 1);
    const below = Math.min(Math.floor(at), colours.length - 2);
    const mixed = colours[below].map((value, i) => value + (at - below) * (colours[below + 1][i] - value));
    levels.set(packed(...mixed.map(Math.round)), level);
  }
  return levels;
}

function distance(one, other) {
  return [16, 8, 0].reduce((sum, shift) => sum + (((one >> shift) & 255) - ((other >> shift) & 255)) ** 2, 0);
}

// The level of a colour; of the nearest one where rounding has made it another.
export function levelOf(levels, [red, green, blue]) {
  const colour = packed(red, green, blue);
  if (levels.has(colour)) return levels.get(colour);
  let [found, least] = [0, Number.POSITIVE_INFINITY];
  for (const [known, level] of levels) {
    const gap = distance(known, colour);
    if (gap < least) [found, least] = [level, gap];
  }
  return found;
}

const digits = (step) => Math.max(0, Math.min(9, Math.floor(-Math.log10(step))));

// "-32 dB"; at the ends of the scale "-75 dB or less", "-5 dB or more". No finer than a step of the palette.
export function levelText(level, { from, to, unit }) {
  const step = (to - from) / (LEVELS - 1);
  const value = from + level * step;
  const end = level === 0 ? " or less" : level === LEVELS - 1 ? " or more" : "";
  const shown = value.toFixed(digits(step));
  return `${[shown.replace("-", "\u2212"), unit].filter(Boolean).join(" ")}${end}`;
}
