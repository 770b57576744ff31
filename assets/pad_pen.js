// Follows pad.js: the pen, led by a pointer or by keys.

// ---- the pen -------------------------------------------------------------------------

function point(event) {
  const box = pad.getBoundingClientRect();
  const within = (value) => Math.round(Math.min(1, Math.max(0, value)) * 10000) / 10000;
  return [within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)];
}

function draw([x, y]) {
  const stroke = strokes[strokes.length - 1];
  if (!stroke) return;
  const [lastX, lastY] = stroke[stroke.length - 1];
  if (Math.hypot(x - lastX, y - lastY) >= CLOSEST) stroke.push([x, y]);
}

function lower(pen, place) {
  pointer = pen;
  if (written) wipe();
  strokes.push([place]);
  changed();
}

function lift() {
  pointer = null;
  lifted = true;
  changed();
}

// A pen or a mouse takes the pad over from a finger, which is a resting palm; a second finger does not.
let kind = "";
function takesOver(event) {
  if (pointer === null) return true;
  if (pointer === KEYS || event.pointerType === "touch" || kind !== "touch") return false;
  strokes.pop();
  return true;
}

// What the system takes away was no stroke.
function penCancel(event) {
  if (event.pointerId !== pointer) return;
  pointer = null;
  strokes.pop();
  lifted = strokes.length > 0;
  changed();
}

function penDown(event) {
  if (event.button !== 0 || !takesOver(event)) return;
  pad.setPointerCapture(event.pointerId);
  hand = null;
  kind = event.pointerType;
  lower(event.pointerId, point(event));
}

function penMove(event) {
  if (event.pointerId !== pointer) return;
  if (event.buttons === 0) return lift(); // its end was lost
  const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  (events.length ? events : [event]).map(point).forEach(draw);
  changed();
}

function penUp(event) {
  if (event.pointerId === pointer) lift();
}

pad.addEventListener("pointerdown", penDown);
pad.addEventListener("pointermove", penMove);
pad.addEventListener("pointerup", penUp);
pad.addEventListener("pointercancel", penCancel);
pad.addEventListener("lostpointercapture", penUp);

// ---- the pen led by keys: arrows move it, space lowers and lifts it ------------------------

function keyPen(event) {
  const [right, down] = ARROWS[event.key] || [0, 0];
  if ((!right && !down && event.key !== " ") || (pointer !== null && pointer !== KEYS)) return;
  event.preventDefault();
  hand = hand || [0.5, 0.5];
  hand = [hand[0] + STEP * right, hand[1] + STEP * down].map((at) => Math.min(0.95, Math.max(0.05, at)));
  if (event.key === " ") pointer === KEYS ? lift() : lower(KEYS, hand);
  else if (pointer === KEYS) draw(hand);
  pointer === KEYS ? changed() : paint();
}

pad.addEventListener("keydown", keyPen);
pad.addEventListener("blur", () => {
  hand = null;
  pointer === KEYS ? lift() : paint();
});
