// The part of the page that tells the cockpit what Python says, and Python which sounds the cockpit asks for.

import { sayNow } from "./cockpit_now.js";

const MOST_WANTED = 4;

export default function ({ data, parentElement: root, setStateValue }) {
  root.hosted ??= { wanted: [] };
  const { hosted } = root;
  hosted.silence?.();
  hosted.silence = sayNow(data, (rank) => {
    hosted.wanted = [...hosted.wanted.filter((each) => each !== rank), rank].slice(-MOST_WANTED);
    setStateValue("wanted", hosted.wanted);
  });
  return hosted.silence;
}
