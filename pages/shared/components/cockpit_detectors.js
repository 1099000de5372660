// The detectors of the cockpit: their clips, as they came, and what the thresholds in force make of them.

import { countsAtRank, ranking, rankOf, summed } from "./decisions.js";
import { fourDigits } from "./numbers.js";

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

// A detector's clips as they came: by falling score, with their class and the number of their id.
export function readDetector(told) {
  const scores = new Float64Array(bytesOf(told.scores).buffer);
  const anomalous = bytesOf(told.anomalous);
  const ids = new Uint16Array(bytesOf(told.ids).buffer);
  const list = { ...ranking(scores, anomalous), ids };
  const byId = told.id_names.map((_, id) => {
    const own = [...ids.keys()].filter((i) => ids[i] === id);
    return ranking(
      Float64Array.from(own, (i) => scores[i]),
      Uint8Array.from(own, (i) => anomalous[i]),
    );
  });
  return { ...told, list, byId };
}

export const isCurve = (list) => list.normal > 0 && list.faulty > 0;
export const inHand = (memory) => memory.detectors[memory.point.hand];
export const thresholdsOf = (memory, hand = memory.point.hand) => memory.point.thresholds[hand];
export const isOne = (thresholds) => thresholds.every((threshold) => threshold === thresholds[0]);

export function countsOf(memory, hand = memory.point.hand) {
  const [{ list, byId }, thresholds] = [memory.detectors[hand], thresholdsOf(memory, hand)];
  if (isOne(thresholds)) return countsAtRank(list, rankOf(list, thresholds[0]));
  return summed(byId.map((own, id) => countsAtRank(own, rankOf(own, thresholds[id]))));
}

export function thresholdText(detector, threshold) {
  return threshold > detector.list.scores[0] ? `${fourDigits(threshold)}, above every score` : fourDigits(threshold);
}
