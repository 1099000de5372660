// What a recorder makes of samples: how loud they are, clips of equal length, and a WAV file.

export const QUIETEST_DBFS = -60; // the meter's lower end; a clip whose RMS lies below is too quiet
const SILENT = 1e-4; // a peak below it: nothing arrives from the microphone
const AT_FULL_SCALE = 0.999;
const MANY_CUT = 10; // as in asd_core/audio/faults.py: fewer samples at the end of the scale prove nothing
const HEADER_BYTES = 44;

export function loudness(samples) {
  let [peak, squares, cut] = [0, 0, 0];
  for (const x of samples) {
    const size = Math.abs(x);
    if (size > peak) peak = size;
    if (size >= AT_FULL_SCALE) cut += 1;
    squares += x * x;
  }
  return { peak, rms: Math.sqrt(squares / Math.max(1, samples.length)), cut };
}

export const decibels = (amplitude) => (amplitude > 0 ? 20 * Math.log10(amplitude) : Number.NEGATIVE_INFINITY);

// One word for a clip's level.
export function levelWord({ peak, rms, cut }) {
  if (peak < SILENT) return "silent";
  if (cut >= MANY_CUT) return "clipped";
  return decibels(rms) < QUIETEST_DBFS ? "quiet" : "good";
}

// How far along a meter an amplitude lies, 0 to 1.
export const alongMeter = (amplitude) => Math.min(1, Math.max(0, 1 - decibels(amplitude) / QUIETEST_DBFS));

// Takes blocks of any length, and gives clips of `length` samples as they fill up.
export function clipCutter(length) {
  let [clip, filled] = [new Float32Array(length), 0];
  return {
    share: () => filled / length,
    add(block) {
      const full = [];
      let rest = block;
      while (rest.length) {
        const part = rest.subarray(0, length - filled);
        clip.set(part, filled);
        filled += part.length;
        rest = rest.subarray(part.length);
        if (filled === length) {
          full.push(clip);
          [clip, filled] = [new Float32Array(length), 0];
        }
      }
      return full;
    },
  };
}

// Mono, 16 bits a sample.
export function wavBytes(samples, rate) {
  const size = 2 * samples.length;
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + size));
  const text = (at, letters) => {
    for (const [n, letter] of [...letters].entries()) view.setUint8(at + n, letter.charCodeAt(0));
  };
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + size, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, size, true);
  for (const [n, x] of samples.entries()) {
    view.setInt16(HEADER_BYTES + 2 * n, Math.round(32767 * Math.min(1, Math.max(-1, x))), true);
  }
  return new Uint8Array(view.buffer);
}

export function base64(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += 0x8000) parts.push(String.fromCharCode(...bytes.subarray(at, at + 0x8000)));
  return btoa(parts.join(""));
}
