// Presentation mode, as components see it: whether the page is on the wall, and the keys of whoever presents.

const ACTS = "asd-presented";
const KEYS_OF_ACTS = { n: "next", pagedown: "next", arrowright: "next", p: "play", r: "reveal" };
const TYPED_INTO = "input, textarea, select, [contenteditable=true], [contenteditable='']";
const ARROWS_MOVE = "[tabindex], [role=slider], [role=radio], [role=tab], [role=option], [role=grid], audio, summary";
// The wall that a page is laid out for at its common size, and the limits of how much larger everything is drawn.
const [WALL_WIDTH, WALL_HEIGHT, LEAST_SCALE, MOST_SCALE, NARROW] = [1371, 771, 1.2, 3, 768];

export const isPresented = () => document.documentElement.dataset.presented === "on";

// What the page itself shows of the truth, outside of components, follows whether it has been revealed.
export const tellRevealed = (isRevealed) => {
  document.documentElement.dataset.revealed = isRevealed ? "on" : "off";
};

// Have `listen({ act })` called for the acts `next`, `play`, `reveal`, and for `changed` when the mode starts or ends;
// returns what ends that.
export function onPresented(listen) {
  const hear = (event) => listen(event.detail);
  document.addEventListener(ACTS, hear);
  return () => document.removeEventListener(ACTS, hear);
}

// Tell all components of an act.
export const present = (act) => document.dispatchEvent(new CustomEvent(ACTS, { detail: { act } }));

// The act of a key; the arrow is one only where nothing else is moved by it.
export const actOfKey = (key, arrowIsFree) =>
  key === "ArrowRight" && !arrowIsFree ? undefined : KEYS_OF_ACTS[key.toLowerCase()];

export const isTyping = (element) => element?.matches?.(TYPED_INTO) ?? false;

export const arrowIsFree = (element) => !element?.matches?.(ARROWS_MOVE);

// How many times larger the page is drawn on a wall of this size in pixels; on a telephone, as always.
export function wallScale(width, height) {
  if (width < NARROW) return 1;
  const filling = Math.min(width / WALL_WIDTH, height / WALL_HEIGHT);
  return Math.round(100 * Math.min(MOST_SCALE, Math.max(LEAST_SCALE, filling))) / 100;
}
