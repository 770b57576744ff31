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

// ---- a network in this browser: until it is loaded, and where it cannot be, the server predicts ----

let network = null;
let loading = null; // which network is loaded or on its way

function use(loaded) {
  if (network) network.stop();
  network = loaded;
  element.dataset.inference = loaded ? "browser" : "server";
}

async function loadNetwork() {
  const wanted = JSON.stringify(props.network);
  if (!props.browser_inference || wanted === loading) return;
  loading = wanted;
  use(null);
  try {
    const { script, file, source, error } = await server.web_model(props.token);
    if (error) throw new Error(error);
    const loaded = await startNetwork(script, fromBase64(file));
    if (wanted !== loading) return loaded.stop();
    use({ ...loaded, source });
  } catch (error) {
    console.info("The server predicts:", error.message);
  }
}

async function predict() {
  if (network) {
    try {
      const prediction = await network.predict(strokes);
      const detail = { ...prediction, network: network.header };
      setTimeout(() => dispatchEvent(new CustomEvent("activations", { detail }))); // the bars come first
      return describe(prediction, network.source);
    } catch {
      use(null);
    }
  }
  return askServer({ token: props.token, strokes, final: resting() });
}

async function askServer(question) {
  const response = await fetch(`${window.gradio_config.root}/predictions/drawing`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(question),
  });
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}

// ---- what the network says: one request at a time, the newest drawing wins -------------

let asking = false;
let unanswered = false;
let lifted = false;
let wake = () => {};

function pause(milliseconds) {
  return new Promise((resume) => {
    wake = resume;
    setTimeout(resume, milliseconds);
  });
}

const resting = () => pointer === null && !writing;

// Who listens hears the answer to what is finished, not each one on the way to it.
function announce() {
  if (resting() && !asking) headline.removeAttribute("aria-busy");
}

// While it is written on it rests as long as the last answer took, so that a server with much to
// do is asked less. Where many draw at once the server leaves out what is asked meanwhile.
async function ask() {
  unanswered = true;
  if (resting()) wake();
  if (asking) return;
  asking = true;
  headline.setAttribute("aria-busy", "true");
  while (unanswered) {
    unanswered = false;
    const start = performance.now();
    try {
      const answer = await predict();
      if (answer.busy) {
        part("words").textContent = "Many are drawing just now. Lift the pen to be answered.";
        if (!resting()) await pause(BUSY_FOR);
        unanswered = strokes.length > 0;
      } else if (strokes.length) {
        const took = performance.now() - start;
        hear(answer, took);
        if (!resting() && !network) await pause(Math.max(took, SHORTEST_INTERVAL - took));
      }
    } catch {
      part("words").textContent = "The server does not answer. It is asked again in a moment.";
      await pause(RETRY_AFTER);
      unanswered = strokes.length > 0;
    }
  }
  asking = false;
  announce();
  if (lifted) settled();
  lifted = false;
}

function hear(answer, milliseconds) {
  if (answer.error) {
    showNothing();
    part("words").textContent = answer.error;
    lifted = false;
    return;
  }
  show(answer);
  part("time").textContent = Math.max(1, Math.round(milliseconds)) + " ms";
}

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

element.querySelector(".undo").addEventListener("click", undo);
element.querySelector(".clear").addEventListener("click", clear);
element.querySelectorAll("[data-digit]").forEach((button) => {
  button.addEventListener("click", () => pick(button.dataset.digit));
});

function key(event) {
  if (!element.isConnected) return document.removeEventListener("keydown", key);
  const elsewhere = pad.offsetParent === null || event.target.closest("input, textarea, select");
  const control = event.ctrlKey || event.metaKey;
  if (elsewhere || event.altKey || pointer !== null || document.querySelector(":popover-open")) return;
  if (control && event.key.toLowerCase() === "z") undo();
  else if (!control && event.key === "Escape") clear();
  else if (!control && event.key in props.examples) pick(event.key);
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", key);

// The next stroke begins another drawing.
addEventListener("drawingkept", () => {
  if (pointer === null && !writing) written = { frame: 0 };
});

// Another network has been chosen. Where the page looks at something else, that is shown anew.
const isHidden = () => !["strokes", undefined].includes(document.querySelector(".page-grid")?.dataset.input);
let chosen = JSON.stringify(props.network);
cnn.useNetwork("strokes", props.network[0]);
watch("network", () => {
  loadNetwork();
  cnn.useNetwork("strokes", props.network[0]);
  if (JSON.stringify(props.network) === chosen) return;
  chosen = JSON.stringify(props.network);
  if (isHidden()) {
    cnn.changed();
    cnn.settled();
    return dispatchEvent(new Event("networkchange"));
  }
  if (pointer === null) lifted = strokes.length > 0;
  changed();
});

// A drawing may come with the address: four letters a point, as strokes.py writes them.
function shared() {
  const text = (new URLSearchParams(location.search).get("drawing") || "").slice(0, 4000);
  const share = (letters) => parseInt(letters, 36) / 1295;
  return text
    .split("-")
    .map((stroke) => stroke.match(/[0-9a-z]{4}/g) || [])
    .filter((stroke) => stroke.length)
    .map((stroke) => stroke.map((at) => [share(at.slice(0, 2)), share(at.slice(2))]));
}

strokes = shared();
lifted = strokes.length > 0;
if (lifted) changed();
else write(props.initial, true);
setTimeout(loadNetwork);
cnn.session.then(() => trigger("refresh"));
addEventListener("linkopened", () => trigger("refresh"));
addEventListener("tabchange", () => pad.offsetParent && trigger("refresh"));
// A digit that is still being written when another input is shown is finished at once, unseen.
function finish() {
  cancelAnimationFrame(written.frame);
  strokes = written.whole;
  writing = false;
  paint();
}

addEventListener("inputchange", ({ detail }) => {
  if (detail !== "strokes" && writing) finish();
  if (detail !== "strokes" || !resting()) return;
  lifted = strokes.length > 0;
  changed();
  if (!lifted) settled();
});
