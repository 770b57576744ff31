// The drawing pad, following prediction.js. A drawing is a list of strokes, a stroke a list of
// [x, y] points with both in 0 to 1 and y down; the canvas is only a view of it.

const pad = element.querySelector(".pad");
const surface = element.querySelector(".surface");
const ink = pad.getContext("2d");
const headline = panel.querySelector(".headline");
const PEN = 0.062;
const CLOSEST = 0.004;
const RETRY_AFTER = 1000;
const BUSY_FOR = 400;
const SHORTEST_INTERVAL = 33; // milliseconds between questions to the server
const STEP = 0.05;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = "keys";
const POINTS_A_SECOND = 85;

let strokes = [];
let pointer = null; // what leads the pen while it is down
let hand = null; // where keys hold the pen
let written = null; // a digit of ours
let writing = false; // it is still on its way

// ---- what is drawn -------------------------------------------------------------------

function paint() {
  const side = pad.width;
  ink.clearRect(0, 0, side, side);
  ink.lineCap = ink.lineJoin = "round";
  ink.strokeStyle = "#fff";
  ink.lineWidth = PEN * side;
  for (const stroke of strokes) {
    ink.beginPath();
    ink.moveTo(stroke[0][0] * side, stroke[0][1] * side);
    stroke.forEach(([x, y], index) => {
      const [nextX, nextY] = stroke[index + 1] || [x, y];
      ink.quadraticCurveTo(x * side, y * side, ((x + nextX) / 2) * side, ((y + nextY) / 2) * side);
    });
    const [lastX, lastY] = stroke[stroke.length - 1];
    ink.lineTo(lastX * side + 0.01, lastY * side); // of no length at all it would be no dot
    ink.stroke();
  }
  if (hand) {
    ink.lineWidth = 0.008 * side;
    ink.strokeStyle = getComputedStyle(pad).getPropertyValue("--accent");
    ink.beginPath();
    ink.arc(hand[0] * side, hand[1] * side, (PEN / 2) * side, 0, 2 * Math.PI);
    ink.stroke();
  }
  surface.classList.toggle("blank", strokes.length === 0);
}

function changed() {
  cnn.changed();
  if (strokes.length) ask(); // first, so that the network computes while the pad is painted
  else showNothing();
  paint();
  announce();
}

// The other tabs look at what stands here when the pen is lifted or one of ours is picked. They
// wait for the bars: the answer comes first.
function settled() {
  props.value = structuredClone(strokes);
  cnn.ask("stroke_end", () => trigger("stroke_end", { version: cnn.version }));
  if (!network && strokes.length) trigger("show_maps");
}

watch("found", () => {
  const { version, digits } = props.found;
  if (version !== cnn.version) return;
  cnn.settled();
  if (digits > 1) part("words").textContent = `${digits} digits, it seems: the network reads one at a time.`;
});

new ResizeObserver(() => {
  const side = Math.round(pad.clientWidth * window.devicePixelRatio);
  if (!side || side === pad.width) return;
  pad.width = pad.height = side;
  paint();
}).observe(pad);

// ---- undo, clear, and a digit of our own -------------------------------------------------

function wipe() {
  if (written) cancelAnimationFrame(written.frame);
  written = null;
  writing = false;
  strokes = [];
}

function clear() {
  pointer = null;
  wipe();
  lifted = false;
  changed();
  settled();
}

function undo() {
  if (written) wipe();
  strokes.pop();
  lifted = strokes.length > 0;
  changed();
  if (!lifted) settled();
}

// The server knows the first digit already.
function write(digit, first = false) {
  wipe();
  const whole = props.examples[digit];
  written = { frame: 0, start: performance.now(), whole };
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    strokes = whole;
    lifted = !first;
    changed();
    if (first) cnn.settled();
    return;
  }
  const count = whole.flat().length;
  const step = (now) => {
    let points = Math.ceil(((now - written.start) / 1000) * POINTS_A_SECOND);
    writing = points < count;
    strokes = [];
    for (const stroke of whole) {
      if (points > 0) strokes.push(stroke.slice(0, points));
      points -= stroke.length;
    }
    lifted = !writing && !first;
    changed();
    if (!writing && first) cnn.settled();
    if (writing) written.frame = requestAnimationFrame(step);
  };
  written.frame = requestAnimationFrame(step);
}

function pick(digit) {
  if (pointer !== null) return;
  write(digit);
}
