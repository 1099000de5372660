// Several sounds on one time axis, of which one is heard: which key chooses which, and how loud each one plays.

// The lane that a digit or its letter chooses, from 0; undefined for other keys and those without a lane. "L" repeats.
export function laneByKey(key, lanes) {
  const at = /^[1-9]$/.test(key) ? Number(key) - 1 : /^[a-k]$/.test(key) ? key.charCodeAt(0) - 97 : lanes;
  return at < lanes ? at : undefined;
}

// Where the playhead goes as another lane is chosen: it stays, unless that sound has ended by then.
export const carriedOver = (seconds, duration) => Math.max(0, Math.min(seconds, duration - 0.001));

const SILENT = 1e-5;

// Root of the mean square of 16-bit samples, full scale being 1.
export function loudness(samples) {
  if (!samples.length) return 0;
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.sqrt(sum / samples.length) / 32768;
}

// Volumes at which all sounds are as loud as the quietest one that is not silent; louder ones are turned down.
export function evenVolumes(levels) {
  const heard = levels.filter((level) => level > SILENT);
  const quietest = Math.min(...heard);
  return levels.map((level) => (level > SILENT ? quietest / level : 1));
}
