// Follows prediction.js: a photograph of handwritten digits with a box around each. A press on a box
// makes its digit what the page looks at.

const page = document.querySelector(".page-grid");
const image = element.querySelector(".paper img");
const boxes = element.querySelector(".boxes");
const readings = element.querySelector(".readings");
const isShown = () => page.dataset.input === "sheet";
const FAILED = "The photograph could not be uploaded. Check the connection, or make it smaller.";
let chosen = 0;
let photograph = ""; // a data URL
let latest = 0; // the version of the photograph and network that were asked for last

function showError(words) {
  showNothing();
  part("words").textContent = words;
}

async function open(file) {
  cnn.showInput("sheet");
  cnn.changed();
  image.hidden = true;
  showDigits([]);
  showError("Looking for digits...");
  const version = ++latest;
  try {
    const { path } = await upload(file);
    cnn.ask("photograph", () => trigger("photograph", { path, version }));
  } catch {
    if (version === latest) showError(FAILED);
  }
}

// What is said of an older photograph than the last one is dropped; the photograph itself comes once.
watch("value", () => {
  const { source, digits, error, version } = props.value;
  if (source !== undefined) photograph = source;
  if (version !== latest) return;
  document.querySelector(".input-switch [data-show-input=sheet]").hidden = false;
  image.src = photograph;
  image.hidden = !photograph;
  showDigits(digits);
  chosen = Math.min(chosen, Math.max(0, digits.length - 1));
  if (error) showError(error);
  choose(chosen);
});

function showDigits(digits) {
  boxes.replaceChildren(...digits.map(createBox));
  readings.replaceChildren(...digits.map(createReading));
}

function createButton({ prediction }, index) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.verdict = prediction.verdict;
  const label = document.createElement("span");
  label.textContent = prediction.label || "?";
  button.append(label);
  button.addEventListener("click", () => choose(index));
  return button;
}

function createBox(digit, index) {
  const box = document.createElement("div");
  const [left, top, width, height] = digit.box;
  box.style.cssText = `left: ${left}%; top: ${top}%; width: ${width}%; height: ${height}%`;
  box.append(createButton(digit, index));
  return box;
}

function createReading(digit, index) {
  const { probabilities } = digit.prediction;
  const probability = document.createElement("small");
  probability.textContent = percentages(probabilities)[probabilities.indexOf(Math.max(...probabilities))];
  const button = createButton(digit, index);
  button.append(" ", probability);
  return button;
}

function choose(index) {
  chosen = index;
  for (const group of [boxes, readings]) {
    group.querySelectorAll("button").forEach((button, at) => button.setAttribute("aria-pressed", at === index));
  }
  if (boxes.children.length) show(props.value.digits[index].prediction);
  if (!isShown()) return;
  cnn.changed();
  cnn.ask("choose", () => trigger("choose", { index }));
}

function predictAgain() {
  const version = ++latest;
  cnn.ask("predict_again", () => trigger("predict_again", { version }));
}

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-photograph]") || !event.target.files.length) return;
  chosen = 0;
  open(event.target.files[0]);
  event.target.value = "";
});

// An image that is pasted where digits are drawn or shown is such a photograph.
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files || [])].find(({ type }) => type.startsWith("image/"));
  if (!file || !["strokes", "sheet"].includes(page.dataset.input) || !element.closest(".dock").offsetParent) return;
  event.preventDefault();
  chosen = 0;
  open(file);
});

addEventListener("inputchange", ({ detail }) => {
  if (detail === "sheet" && props.value) predictAgain();
});
addEventListener("networkchange", () => isShown() && predictAgain());
addEventListener("subjectchange", () => isShown() && trigger("show_maps"));
