// Clips one after another on one time axis: which one sounds, which have been heard, what is lit up, and a line's value.

// The clip that sounds at a moment: `ends` are the seconds at which the clips end, rising.
export function clipAt(ends, seconds) {
  const at = ends.findIndex((end) => seconds < end);
  return at < 0 ? ends.length - 1 : at;
}

const AT_ITS_END_S = 0.05; // a sound stops a little before its last moment

export const clipsHeard = (ends, seconds) => ends.filter((end) => seconds >= end - AT_ITS_END_S).length;

// How far the pictures are lit up: as far as was ever heard, all of it for those who want no motion.
export function litUpTo(before, now, duration, wantsNoMotion) {
  return wantsNoMotion ? duration : Math.min(duration, Math.max(before, now));
}

// The share of a picture [from, to] that is hidden at its right while it is lit up to a moment.
export function hiddenShare([from, to], lit) {
  if (!(to > from)) return 0;
  return Math.max(0, Math.min(1, (to - lit) / (to - from)));
}

// The same place in the other one of two clips, as seconds of the whole.
export function otherPlace(ends, seconds) {
  const isFirst = clipAt(ends, seconds) === 0;
  return isFirst ? Math.min(ends[0] + seconds, ends[1]) : Math.min(seconds - ends[0], ends[0]);
}

// The value of a line over rising times at a moment; null before its first one.
export function lineAt(times, values, seconds) {
  if (!times.length || seconds < times[0]) return null;
  const after = times.findIndex((time) => time > seconds);
  if (after < 0) return values[values.length - 1];
  const [t0, t1] = [times[after - 1], times[after]];
  return values[after - 1] + ((seconds - t0) / (t1 - t0)) * (values[after] - values[after - 1]);
}
