// Where clips lie on a plane of two axes, which of them is near, and the outline of a lasso.

// A value's place on an axis, 0 at its beginning and 1 at its end.
export function shareOn({ low, high, log }, value) {
  const scaled = log ? Math.log10 : (x) => x;
  return (scaled(value) - scaled(low)) / (scaled(high) - scaled(low));
}

// The position of the nearest of the places ([x, y] each) within `reach` of a point, or -1.
export function nearestPlace(places, [x, y], reach) {
  let found = -1;
  let least = reach * reach;
  places.forEach(([px, py], n) => {
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance <= least) {
      found = n;
      least = distance;
    }
  });
  return found;
}

// At most `most` corners of an outline, evenly chosen: enough to draw it again, few enough for a link.
export function cornersOf(outline, most) {
  if (outline.length <= most) return outline;
  return Array.from({ length: most }, (_, n) => outline[Math.floor((n * outline.length) / most)]);
}

// A corner as the link has it: three digits, inside of the plane.
export const written = (share) => Math.round(1000 * Math.min(1, Math.max(0, share))) / 1000;

// Whether a stroke went far enough to be a lasso rather than a press that trembled.
export function isLasso(outline, reach) {
  const [x, y] = outline[0];
  return outline.length > 3 && outline.some(([px, py]) => Math.hypot(px - x, py - y) > reach);
}
