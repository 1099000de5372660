// Where the parts of the ranking's picture lie, in units of a fourteenth of the type's height.

const GAP = 18;
const NAME = 140;
const RATE = 118;
const NARROW = 600;

// Columns of a picture that is `width` units wide and shows `n` detectors; a narrow one has each row's parts in lines.
export function columnsOf(width, n) {
  const cell = n > 5 ? 25 : 28;
  const against = n > 1 ? n * cell : 0;
  if (width < NARROW) {
    const half = (width - GAP) / 2;
    return {
      narrow: true,
      cell,
      area: [0, width],
      against: Math.max(0, width - against),
      rates: [
        [0, half],
        [half + GAP, half],
      ],
    };
  }
  const rest = NAME + 2 * (RATE + GAP) + (against && against + GAP) + GAP;
  const area = Math.max(120, width - rest);
  const rates = NAME + GAP + area + (against && GAP + against) + GAP;
  return {
    narrow: false,
    cell,
    area: [NAME + GAP, area],
    against: NAME + GAP + area + GAP,
    rates: [
      [rates, RATE],
      [rates + RATE + GAP, RATE],
    ],
  };
}

// Where a value lies on an axis from `low` to `high` that begins at `start` and is `length` long.
export const placeOn = ([start, length], value, low, high) =>
  start + length * Math.min(1, Math.max(0, (value - low) / (high - low)));

// A text that fits into `width` units at a type of `size`: letters are about half as wide as high.
export function fitted(text, width, size) {
  const most = Math.max(3, Math.floor(width / (0.52 * size)));
  return text.length <= most ? text : `${text.slice(0, most - 1).trimEnd()}\u2026`;
}
