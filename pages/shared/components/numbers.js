// Numbers as text for people: a true minus sign, counts beside every rate.

const withMinus = (text) => text.replaceAll("-", "\u2212");

// Four significant digits, as thresholds and scores are written everywhere; rounding noise is 0.
export function fourDigits(x) {
  if (Math.abs(x) < 1e-9) return "0";
  const plain = x === 0 || (Math.abs(x) >= 1e-4 && Math.abs(x) < 1e4);
  return withMinus(plain ? x.toPrecision(4) : x.toExponential(3));
}

// For the ends of an axis, where there is room for about six characters.
export function short(x) {
  const plain = x === 0 || (Math.abs(x) >= 1e-3 && Math.abs(x) < 1e4);
  return withMinus(plain ? `${Number(x.toPrecision(3))}` : x.toExponential(1));
}

export const dbfs = (amplitude) => `${withMinus((20 * Math.log10(amplitude)).toFixed(1))} dBFS`;

// How much louder a sound is played: "raised by 24 dB".
export function raisedText(gain) {
  const db = Math.round(20 * Math.log10(gain));
  return db < 0 ? `lowered by ${-db} dB` : `raised by ${db} dB`;
}

// A number as people type it, NaN for anything else: 1,05 has a decimal comma; 1,000 is a thousand where numbers are
// written so, and not where they have decimals.
export function readNumber(text, { isGrouped = false } = {}) {
  const plain = text.trim().replace("\u2212", "-");
  if (isGrouped && /^[1-9]\d{0,2}(,\d{3})+(\.\d*)?$/.test(plain)) return Number(plain.replaceAll(",", ""));
  return plain ? Number(plain.replace(",", ".")) : Number.NaN;
}

const GROUPED = new Intl.NumberFormat("en"); // a hundred times as fast as `toLocaleString`, which makes one each time
export const whole = (n) => GROUPED.format(n);
export const percent = (k, n) => (n ? `${((100 * k) / n).toFixed(1)} %` : "\u2013");
export const ratio = (k, n) => `(${whole(k)}/${whole(n)})`;
export const rate = (k, n) => `${percent(k, n)} ${ratio(k, n)}`;
