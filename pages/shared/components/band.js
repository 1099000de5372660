// One band of a stretch of sound, as asd_core/features/excerpt.py cuts it: the tests hold both against each other.

const FADE_SECONDS = 0.02;
const EDGE_OCTAVES = 1 / 6;
const LOUDEST = 0.7;

// Gain at a frequency: 1 inside the band, falling to 0 over a sixth of an octave outside.
export function bandGain(hz, low, high, top) {
  const octave = Math.log2(Math.max(hz, 1));
  const rise = low <= 0 ? 1 : (octave - Math.log2(low)) / EDGE_OCTAVES + 1;
  const fall = high >= top ? 1 : (Math.log2(high) - octave) / EDGE_OCTAVES + 1;
  return Math.max(0, Math.min(1, rise, fall));
}

function bitReversed(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i += 1) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
}

function butterfly(re, im, one, other, wr, wi) {
  const real = re[other] * wr - im[other] * wi;
  const imaginary = re[other] * wi + im[other] * wr;
  re[other] = re[one] - real;
  im[other] = im[one] - imaginary;
  re[one] += real;
  im[one] += imaginary;
}

// Fourier transform in place of a power of two of values; sign -1 forwards, 1 backwards without the division by n.
export function transform(re, im, sign) {
  bitReversed(re, im);
  for (let half = 1; half < re.length; half *= 2) {
    for (let k = 0; k < half; k += 1) {
      const angle = (sign * Math.PI * k) / half;
      const [wr, wi] = [Math.cos(angle), Math.sin(angle)];
      for (let at = k; at < re.length; at += 2 * half) butterfly(re, im, at, at + half, wr, wi);
    }
  }
}

const powerOfTwo = (n) => 2 ** Math.ceil(Math.log2(Math.max(2, n)));

// The part of a sound between two frequencies, of the same length.
export function banded(part, { low, high }, sr) {
  const top = sr / 2;
  if (low <= 0 && high >= top) return Float64Array.from(part);
  const n = powerOfTwo(part.length);
  const [re, im] = [new Float64Array(n), new Float64Array(n)];
  re.set(part);
  transform(re, im, -1);
  for (let k = 0; k < n; k += 1) {
    const gain = bandGain((Math.min(k, n - k) * sr) / n, low, high, top) / n;
    re[k] *= gain;
    im[k] *= gain;
  }
  transform(re, im, 1);
  return re.slice(0, part.length);
}

// A region of 16-bit samples, full scale being 1: its band alone, faded in and out.
export function excerptOf(samples, region, sr) {
  const part = samples.subarray(Math.round(region.from * sr), Math.round(region.to * sr));
  const sound = banded(
    Float64Array.from(part, (sample) => sample / 32768),
    region,
    sr,
  );
  const last = sound.length - 1;
  return Float32Array.from(sound, (y, i) => y * Math.min(1, i / (FADE_SECONDS * sr), (last - i) / (FADE_SECONDS * sr)));
}

// The gain that brings the loudest peak of some sounds to 0.7: one for all, so that they compare.
export function commonGain(sounds) {
  let peak = 0;
  for (const sound of sounds) for (const y of sound) peak = Math.max(peak, Math.abs(y));
  return peak > 0 ? LOUDEST / peak : 1;
}
