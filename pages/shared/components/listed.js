// The order in which a list of sounds is heard, as arithmetic on the ids of its rows.

const MOST_WANTED = 4;

// The id some rows further down; the first one where none is current, undefined beyond either end.
export function neighbour(ids, current, step) {
  const at = ids.indexOf(current);
  return at < 0 ? ids[0] : ids[at + step];
}

// The sounds that the browser asks for, the one that is heard now last: those heard lately, and the next one if it is
// going to follow by itself.
export function wantedWith(wanted, id, next) {
  const others = [...wanted.filter((each) => each !== id && each !== next), ...(next === undefined ? [] : [next])];
  return [...others, id].slice(-MOST_WANTED);
}

// The two sounds heard last, the latest last; the same one again changes nothing.
export function lastTwo(two, id) {
  return two.at(-1) === id ? two : [...two, id].slice(-2);
}

// The one of the last two that is not current; undefined where there is none.
export const otherOfTwo = (two, current) => two.find((id) => id !== current);
