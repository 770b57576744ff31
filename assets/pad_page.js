// Follows pad.js, pad_prediction.js and pad_pen.js: what the rest of the page and its address tell the pad.

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
