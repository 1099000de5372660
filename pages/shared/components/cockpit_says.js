// The part of the page that only tells the cockpit what Python says.

import { sayNow } from "./cockpit_now.js";

export default function ({ data, parentElement: root }) {
  root.hosted ??= {};
  root.hosted.silence?.();
  root.hosted.silence = sayNow(data);
  return root.hosted.silence;
}
