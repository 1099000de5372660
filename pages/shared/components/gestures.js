// Mouse and touch on the player's lane: click, drag, long press, two fingers, wheel. What they do is up to `acts`.

const SLOP_PX = { mouse: 3, pen: 6, touch: 10 };
const REACH_PX = { mouse: 6, pen: 8, touch: 18 };
const HOLD_MS = 350;

const reachOf = (event) => REACH_PX[event.pointerType] ?? REACH_PX.mouse;

// Whether a finger's first movement is ours: after a long press, or sideways; the page scrolls by all others.
export const isOurs = ({ pointerType, isHeld }, dx, dy) =>
  pointerType !== "touch" || isHeld || Math.abs(dx) > Math.abs(dy);

function hold(gesture, lane) {
  if (gesture.pointerType !== "touch") return;
  gesture.timer = setTimeout(() => {
    gesture.isHeld = true;
    lane.classList.add("held");
  }, HOLD_MS);
}

function drop(memory, lane) {
  clearTimeout(memory.gesture?.timer);
  memory.gesture = null;
  lane.classList.remove("held");
}

function begin(memory, lane, event, acts) {
  drop(memory, lane);
  const { clientX, clientY, pointerType } = event;
  const grip = acts.grip(event, reachOf(event));
  memory.gesture = { clientX, clientY, pointerType, grip, isHeld: false, isMoved: false };
  hold(memory.gesture, lane);
}

function hasMoved(memory, lane, event) {
  const { gesture } = memory;
  if (gesture.isMoved) return true;
  const [dx, dy] = [event.clientX - gesture.clientX, event.clientY - gesture.clientY];
  if (Math.hypot(dx, dy) <= (SLOP_PX[gesture.pointerType] ?? SLOP_PX.mouse)) return false;
  if (!isOurs(gesture, dx, dy)) {
    drop(memory, lane);
    return false;
  }
  clearTimeout(gesture.timer);
  gesture.isMoved = true;
  return true;
}

const apart = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);

function pinch(memory, event, acts) {
  const before = apart([...memory.touches.values()]);
  memory.touches.set(event.pointerId, event);
  const now = [...memory.touches.values()];
  if (apart(now) > 0 && before > 0) acts.zoom(before / apart(now), (now[0].clientX + now[1].clientX) / 2);
}

function move(memory, lane, event, acts) {
  if (memory.touches.size === 2 && memory.touches.has(event.pointerId)) {
    pinch(memory, event, acts);
    return;
  }
  acts.hover(event);
  if (memory.gesture && hasMoved(memory, lane, event)) acts.drag(memory.gesture.grip, event);
}

function down(memory, lane, event, acts) {
  if (event.button !== 0) return;
  memory.wasDragged = false;
  if (event.pointerType === "touch") memory.touches.set(event.pointerId, event);
  if (memory.touches.size > 1) {
    drop(memory, lane);
    return;
  }
  if (event.pointerType !== "touch") lane.setPointerCapture(event.pointerId);
  begin(memory, lane, event, acts);
}

function up(memory, lane, event, acts) {
  memory.touches.delete(event.pointerId);
  const { gesture } = memory;
  if (!gesture) return;
  memory.wasDragged = gesture.isMoved;
  drop(memory, lane);
  if (gesture.isMoved) acts.release(gesture.grip);
}

function wheel(event, acts) {
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    acts.zoom(Math.exp(event.deltaY * 0.003), event.clientX);
  } else if (acts.pan(event.shiftKey ? event.deltaY : event.deltaX)) event.preventDefault();
}

// Handlers are assigned, not added; what lasts between their calls is in `memory`.
export function bindGestures(lane, memory, acts) {
  memory.touches ??= new Map();
  lane.onpointerdown = (event) => down(memory, lane, event, acts);
  lane.onpointermove = (event) => move(memory, lane, event, acts);
  lane.onpointerup = (event) => up(memory, lane, event, acts);
  lane.onpointercancel = (event) => {
    memory.touches.delete(event.pointerId);
    drop(memory, lane);
  };
  // A finger that draws must not scroll the page as well; one that has not begun to draw may.
  lane.ontouchmove = (event) => {
    const isDrawing = memory.gesture?.isHeld || memory.gesture?.isMoved;
    if (event.cancelable && (isDrawing || memory.touches.size > 1)) event.preventDefault();
  };
  lane.oncontextmenu = (event) => {
    if (memory.gesture?.pointerType === "touch") event.preventDefault();
  };
  lane.onpointerleave = () => lane.classList.remove("hover");
  lane.onwheel = (event) => wheel(event, acts);
  lane.onclick = (event) => {
    if (!memory.wasDragged) acts.click(event);
    memory.wasDragged = false;
  };
  lane.ondblclick = (event) => acts.doubleClick(event);
}
