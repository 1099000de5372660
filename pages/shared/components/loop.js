// A stretch of one or two sounds on one clock, looped without a gap; which of the two is heard changes in an instant.

const SWITCH_SECONDS = 0.01;

// The place in a stretch after some seconds; null where it has ended.
export function placeIn(seconds, { from, to }, isLooped) {
  const length = to - from;
  if (isLooped) return from + (seconds % length);
  return seconds < length ? from + seconds : null;
}

const gainOf = (loop, number) => (number === loop.heard ? loop.volume * loop.gain : 0);

function track(loop, sound, number) {
  const { context, sr } = loop;
  const buffer = context.createBuffer(1, sound.length, sr);
  buffer.copyToChannel(sound, 0);
  const source = Object.assign(context.createBufferSource(), { buffer, loop: loop.isLooped });
  const level = context.createGain();
  level.gain.value = gainOf(loop, number);
  source.connect(level).connect(context.destination);
  return { source, level };
}

// Start sounds of one length together; `plan` has context, sr, stretch, offset, isLooped, volume, gain, heard.
export function startLoop(sounds, plan) {
  const loop = { ...plan, began: plan.context.currentTime - plan.offset };
  loop.tracks = sounds.map((sound, number) => track(loop, sound, number));
  for (const { source } of loop.tracks) source.start(0, plan.offset);
  return loop;
}

export const loopedSeconds = (loop) => placeIn(loop.context.currentTime - loop.began, loop.stretch, loop.isLooped);

// Change which sound is heard, or how loud, without losing the place.
export function setHeard(loop, change) {
  Object.assign(loop, change);
  const now = loop.context.currentTime;
  for (const [number, { level }] of loop.tracks.entries()) {
    level.gain.setTargetAtTime(gainOf(loop, number), now, SWITCH_SECONDS / 3);
  }
}

export function stopLoop(loop) {
  for (const { source, level } of loop.tracks) {
    source.stop();
    source.disconnect();
    level.disconnect();
  }
}
