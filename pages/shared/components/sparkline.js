// A line through the last scores of a watch, as arithmetic: paths in a box of 100 by 100, the highest score at the top.

const shares = (values) => {
  const known = values.filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return (value) => (high > low ? 100 - (100 * (value - low)) / (high - low) : 50);
};

const written = (number) => String(Math.round(100 * number) / 100);

// The paths of the scores and of the threshold; empty where there is nothing to draw. A clip without a score is a gap.
export function sparkline(scores, threshold) {
  if (scores.filter((score) => score !== null).length < 2) return { line: "", limit: "" };
  const high = shares([...scores, threshold]);
  const step = 100 / (scores.length - 1);
  let isNew = true;
  let line = "";
  for (const [place, score] of scores.entries()) {
    if (score !== null) line += `${isNew ? "M" : "L"}${written(place * step)} ${written(high(score))}`;
    isNew = score === null;
  }
  return { line, limit: threshold === null ? "" : `M0 ${written(high(threshold))}H100` };
}

// Columns of so many tiles on a wide wall: rows and columns that leave few places empty.
export function columnsOf(n, width, height) {
  if (width < height) return Math.ceil(n / 6);
  return n <= 1 ? 1 : n <= 4 ? 2 : n <= 9 ? Math.min(4, Math.ceil(n / 2)) : 4;
}
