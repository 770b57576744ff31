// Follows follow.js and colors.js: draws each layer as a column of its strongest maps, and all maps of
// the selected layer. Where the browser predicts, maps and classes follow the pen by the window's event
// "activations", without a question to the server.

const view = element.querySelector(".network");
const columns = element.querySelector(".layers");

cnn.selection = { layer: cnn.parameter("layer"), map: cnn.parameter("map"), row: null, column: null };
details = () => cnn.selection;
let canvases = new Map(); // by layer: [{canvas, channel}]

function mapButton(layer, channel) {
  const [, height, width] = layer.shape;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const button = document.createElement("button");
  button.type = "button";
  Object.assign(button.dataset, { layer: layer.name, map: channel });
  button.setAttribute("aria-label", `map ${channel} of ${layer.name}`);
  button.append(canvas);
  return { button, canvas, channel };
}

function addMaps(parent, layer, levels, count) {
  const [, height, width] = layer.shape;
  const colors = layer.name === "input" ? ramp("--grey") : ramp(layer.signed ? "--diverging" : "--sequential");
  const kept = canvases.get(layer.name) || [];
  layer.channels.slice(0, count).forEach((channel, index) => {
    const map = mapButton(layer, channel);
    paint(map.canvas, levels.subarray(index * height * width, (index + 1) * height * width), layer.signed, colors);
    parent.append(map.button);
    kept.push(map);
  });
  canvases.set(layer.name, kept);
}

// The three colours of a photograph are one picture.
function addColors(parent, layer) {
  const [, height, width] = layer.shape;
  const levels = bytes(layer.maps);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  layer.channels.forEach((channel, index) => {
    for (let pixel = 0; pixel < width * height; pixel++) {
      image.data[4 * pixel + channel] = 2 * (levels[index * width * height + pixel] - 128) * layer.largest;
      image.data[4 * pixel + 3] = 255;
    }
  });
  context.putImageData(image, 0, 0);
  parent.append(canvas);
}

function addUnits(parent, layer) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: layer.shape[0], className: "units" });
  paint(canvas, bytes(layer.maps), layer.signed, ramp(layer.signed ? "--diverging" : "--sequential"));
  parent.append(canvas);
  canvases.set(layer.name, [{ canvas, channel: null }]);
}

function column(layer) {
  const node = document.createElement("div");
  node.className = "layer";
  const head = document.createElement("div");
  head.className = "layer-head";
  head.innerHTML = "<button type='button'><b></b></button><small></small>";
  const name = head.querySelector("button");
  name.firstChild.textContent = layer.name;
  name.dataset.layer = layer.name;
  head.querySelector("small").textContent = layer.shape.join(" × ");
  if (layer.name !== "input") head.append(questionMark(layer.kind, layer.example));
  const body = document.createElement("div");
  body.className = "layer-body";
  if (layer.shape.length === 1) addUnits(body, layer);
  else if (layer.name === "input" && layer.shape[0] === 3) addColors(body, layer);
  else addMaps(body, layer, bytes(layer.maps), props.value.strongest);
  node.append(head, body);
  return node;
}

// Opens the explanation of a kind of layer, with an example of the current input.
function questionMark(kind, example) {
  const help = document.getElementById("explain-" + kind.replace(/\W/g, "-"));
  const button = document.createElement("button");
  button.type = "button";
  button.className = "help";
  button.textContent = "?";
  button.setAttribute("aria-label", `What is ${kind}?`);
  button.setAttribute("popovertarget", help.id);
  button.addEventListener("click", () => (help.querySelector(".example span").textContent = example));
  return button;
}

function classColumn({ classes, examples }) {
  const node = document.createElement("div");
  node.className = "layer classes";
  node.innerHTML = "<div class='layer-head'><div><b>logits</b></div><div><b>softmax</b></div></div><div class='layer-body'></div>";
  const [logits, softmax] = node.firstChild.children;
  logits.append(questionMark("logit", examples.logit));
  softmax.append(questionMark("softmax", examples.softmax));
  for (const name of classes) {
    const row = document.createElement("div");
    row.className = "class";
    row.innerHTML = "<span></span><small></small><i></i>";
    row.firstChild.textContent = name;
    node.lastChild.append(row);
  }
  return node;
}

function showClasses(logits, probabilities) {
  const best = Math.max(...probabilities);
  columns.querySelectorAll(".class").forEach((row, index) => {
    row.classList.toggle("best", probabilities[index] === best);
    row.style.setProperty("--share", probabilities[index]);
    row.querySelector("small").textContent = logits[index].toFixed(1).replace("-", "−");
  });
}

function ring() {
  const { layer, map } = cnn.selection;
  document.querySelectorAll(":is(.network, .layer-maps) [data-layer]").forEach((button) => {
    const pressed = button.dataset.layer === layer && (button.dataset.map ?? String(map)) === String(map);
    button.setAttribute("aria-pressed", String(pressed));
  });
}

function build() {
  const shown = props.value;
  if (!shown || !shown.layers) return;
  view.dataset.version = shown.version;
  canvases = new Map();
  const left = columns.scrollLeft;
  columns.replaceChildren(...shown.layers.map(column), classColumn(shown.output));
  showClasses(shown.output.logits, shown.output.probabilities);
  columns.scrollLeft = left;
  const selected = layerOf(cnn.selection.layer);
  if (!hasMaps(selected)) cnn.selection = { layer: shown.selected, map: "", row: null, column: null };
  if (cnn.selection.layer !== shown.selected) return showSelected(); // it was pressed meanwhile
  const layer = layerOf(shown.selected);
  showMaps(layer, bytes(layer.maps));
  if (cnn.selection.map === "") {
    cnn.selection.map = String(layer.channels[0]);
    dispatchEvent(new Event("selectionchange"));
  }
  ring();
}

const layerOf = (name) => props.value?.layers?.find((layer) => layer.name === name);
const hasMaps = (layer) => layer && layer.name !== "input" && layer.shape.length === 3;

// Shows all maps of a layer, whose `levels` stand in the order of its `channels`.
function showMaps(layer, levels) {
  const section = document.querySelector(".layer-maps");
  const grid = section.querySelector(".maps");
  section.querySelector("h3").textContent = `${layer.name}: ${layer.shape[0]} maps of ${layer.shape[1]} × ${layer.shape[2]}`;
  grid.replaceChildren();
  canvases.forEach((maps, name) => canvases.set(name, maps.filter(({ canvas }) => canvas.isConnected)));
  addMaps(grid, layer, levels, layer.channels.length);
  [...grid.children].sort((a, b) => a.dataset.map - b.dataset.map).forEach((button) => grid.append(button));
}

// Shows the selected layer from what the browser has computed for this input; else Python is asked.
function showSelected() {
  const layer = layerOf(cnn.selection.layer);
  const { version, network, layers } = cnn.activations || {};
  const computed = layer && version === cnn.version && network.name === props.value.network && layers.find(({ name }) => name === layer.name);
  if (!computed) return follow(true);
  const { largest, signed } = range(computed.values);
  showMaps({ ...layer, signed, channels: [...Array(layer.shape[0]).keys()] }, levelsOf(computed.values, largest));
  ring();
}

function choose({ layer, map, row = null, column = null }, push = true) {
  const sameLayer = layer === cnn.selection.layer;
  cnn.selection = { layer, map: map ?? "", row, column };
  if (push) cnn.setAddress({ layer, map: map ?? "" });
  ring();
  if (!sameLayer) showSelected();
  dispatchEvent(new Event("selectionchange"));
}
cnn.select = choose;

function press(event) {
  if (!element.isConnected) return removeEventListener("click", press);
  const pressed = event.target.closest(":is(.network, .layer-maps) [data-layer]");
  if (!pressed) return;
  const layer = layerOf(pressed.dataset.layer);
  if (hasMaps(layer)) choose({ layer: layer.name, map: pressed.dataset.map ?? String(layer.channels[0]) });
}
addEventListener("click", press);

watch("value", build);
addEventListener("addresschange", () => {
  const [layer, map] = ["layer", "map"].map(cnn.parameter);
  if (layer && (layer !== cnn.selection.layer || map !== cnn.selection.map)) choose({ layer, map }, false);
});

function live({ detail: { network, pixels, layers, logits, probabilities } }) {
  if (!element.isConnected) return removeEventListener("activations", live);
  if (!onScreen || !props.value || props.value.network !== network.name) return;
  const [sequential, diverging] = [ramp("--sequential"), ramp("--diverging")];
  for (const { name, shape, values } of layers) {
    const maps = canvases.get(name);
    if (!maps) continue;
    const { largest, signed } = range(values);
    const size = shape.length === 3 ? shape[1] * shape[2] : values.length;
    for (const { canvas, channel } of maps) {
      const part = values.subarray((channel ?? 0) * size, ((channel ?? 0) + 1) * size);
      paint(canvas, levelsOf(part, largest), signed, signed ? diverging : sequential);
    }
  }
  const [{ canvas }] = canvases.get("input");
  paint(canvas, levelsOf(pixels, 1), false, ramp("--grey"));
  showClasses(logits, probabilities);
  view.dataset.version = cnn.version;
  view.classList.remove("stale");
}

addEventListener("activations", live);
