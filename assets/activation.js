// Follows follow.js and colors.js: computes one number of the selected map: patch x kernel = sum, then
// batch norm, activation and pooling, in a window that follows the pointer. Python sends the filter, its
// input and the layers after it once; all else is computed here. Where the browser predicts, the input
// follows the pen by the window's event "activations".

const view = element.querySelector(".activation");
const [before, after] = view.querySelectorAll(".plates");
const STRONGEST = 3; // input channels whose products are written out
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

let shown = null; // what Python has sent, its numbers decoded
let maps = []; // what leaves the convolution and each layer after it
let place = [0, 0]; // row and column on the convolution's map
let chosen = false; // by the visitor; else it is the place of the greatest value

let selected = ""; // layer and map that Python was asked for last

details = () => cnn.selection;
addEventListener("selectionchange", () => {
  const { layer, map } = cnn.selection;
  if (`${layer} ${map}` === selected) return;
  selected = `${layer} ${map}`;
  chosen = false;
  follow(true);
});

// ---- the numbers ------------------------------------------------------------------------------------

function decode({ shape, scale, data }) {
  const fractions = new Int16Array(bytes(data).buffer);
  return { shape, values: Float32Array.from(fractions, (fraction) => fraction * scale) };
}

// The values of one input channel under the kernel, zero beyond the edge.
function patch(channel, [row, column]) {
  const { inputs, filter, stride, padding } = shown;
  const [, height, width] = inputs.shape;
  const side = filter.shape[1];
  const values = new Float32Array(side * side);
  for (let i = 0; i < side; i++) {
    const y = row * stride - padding + i;
    for (let j = 0; j < side; j++) {
      const x = column * stride - padding + j;
      if (y >= 0 && y < height && x >= 0 && x < width) values[i * side + j] = inputs.values[(channel * height + y) * width + x];
    }
  }
  return values;
}

const kernel = (channel) => {
  const area = shown.filter.shape[1] ** 2;
  return shown.filter.values.subarray(channel * area, (channel + 1) * area);
};

// The products of each input channel, summed.
function channelSums(at) {
  return Array.from({ length: shown.filter.shape[0] }, (_, channel) => {
    const weights = kernel(channel);
    return patch(channel, at).reduce((sum, value, index) => sum + value * weights[index], 0);
  });
}

// The whole map of the convolution: each weight times the inputs that it meets.
function convolve() {
  const { inputs, filter, stride, padding, bias } = shown;
  const [channels, height, width] = inputs.shape;
  const side = filter.shape[1];
  const [rows, columns] = [height, width].map((length) => Math.floor((length + 2 * padding - side) / stride) + 1);
  const values = new Float32Array(rows * columns).fill(bias);
  for (let channel = 0; channel < channels; channel++) {
    for (let i = 0; i < side; i++) {
      for (let j = 0; j < side; j++) {
        const weight = filter.values[(channel * side + i) * side + j];
        for (let row = 0; row < rows; row++) {
          const y = row * stride - padding + i;
          if (y < 0 || y >= height) continue;
          for (let column = 0; column < columns; column++) {
            const x = column * stride - padding + j;
            if (x >= 0 && x < width) values[row * columns + column] += weight * inputs.values[(channel * height + y) * width + x];
          }
        }
      }
    }
  }
  return { name: shown.layer, kind: "convolution", rows, columns, values, step: 1 };
}

// The probability that a standard normal number is smaller (Abramowitz and Stegun, 7.1.26).
function normal(x) {
  const t = 1 / (1 + (0.3275911 * Math.abs(x)) / Math.SQRT2);
  const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return 0.5 * (1 + Math.sign(x) * (1 - series * Math.exp((-x * x) / 2)));
}

const CHANGES = {
  "batch norm": ({ mean, deviation, weight, bias }) => (x) => ((x - mean) / deviation) * weight + bias,
  ReLU: () => (x) => Math.max(0, x),
  GELU: () => (x) => x * normal(x),
};

function pooled(map, { name, kind, size, stride }) {
  const [rows, columns] = [map.rows, map.columns].map((length) => Math.floor((length - size) / stride) + 1);
  const made = { name, kind, size, stride, rows, columns, step: map.step * stride, values: new Float32Array(rows * columns) };
  for (let place = 0; place < made.values.length; place++) {
    made.values[place] = Math.max(...poolWindow(map, made, [Math.floor(place / columns), place % columns]));
  }
  return made;
}

function poolWindow(map, { size, stride }, [row, column]) {
  const values = [];
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) values.push(map.values[(row * stride + i) * map.columns + column * stride + j]);
  }
  return values;
}

function compute() {
  maps = [convolve()];
  for (const stage of shown.stages) {
    const map = maps.at(-1);
    if (stage.kind === "pooling") maps.push(pooled(map, stage));
    else maps.push({ ...map, ...stage, values: map.values.map(CHANGES[stage.kind](stage)) });
  }
  const [{ values, columns }] = maps;
  if (chosen) return;
  const greatest = values.reduce((best, value, index) => (value > values[best] ? index : best), 0);
  place = [Math.floor(greatest / columns), greatest % columns];
}

// Where the number stands on a map after the convolution; the last row of an odd one is left out.
const placeOn = ({ rows, columns, step }) => [Math.min(Math.floor(place[0] / step), rows - 1), Math.min(Math.floor(place[1] / step), columns - 1)];

// ---- what is seen -----------------------------------------------------------------------------------

// More decimals the smaller the value, so that sums can be followed.
function write(value, decimals) {
  const size = Math.abs(value);
  const digits = decimals ?? 2 + (size > 0 && size < 0.1) + (size > 0 && size < 0.01);
  return (size < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits).replace("-", "−");
}

const bracketed = (value) => (value < 0 ? `(${write(value)})` : write(value));

// An image with a window over a part of it: a press or the pointer moves the window if `toPlace` says
// which place of the convolution's map belongs to a pixel.
function plate(parent, rows, columns, toPlace) {
  const figure = document.createElement("figure");
  figure.innerHTML = "<div class='plate'><canvas role='img'></canvas><i></i></div><figcaption></figcaption>";
  const [surface, caption] = figure.children;
  const [canvas, frame] = surface.children;
  Object.assign(canvas, { width: columns, height: rows });
  parent.append(figure);
  if (toPlace) {
    surface.classList.add("pressable");
    const move = (event) => {
      const box = surface.getBoundingClientRect();
      const at = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
      moveTo(toPlace(at((event.clientY - box.top) / box.height, rows), at((event.clientX - box.left) / box.width, columns)));
    };
    surface.addEventListener("pointermove", move);
    surface.addEventListener("click", (event) => {
      move(event);
      cnn.select({ ...cnn.selection, row: place[0], column: place[1] }, false);
    });
    surface.tabIndex = 0;
    surface.addEventListener("keydown", (event) => {
      if (!ARROWS[event.key]) return;
      event.preventDefault();
      moveTo(place.map((at, axis) => at + ARROWS[event.key][axis]));
    });
  }
  return {
    canvas,
    show(row, column, height, width, words) {
      Object.assign(frame.style, {
        top: `${(100 * row) / rows}%`, left: `${(100 * column) / columns}%`,
        height: `${(100 * height) / rows}%`, width: `${(100 * width) / columns}%`,
      });
      frame.hidden = !height;
      caption.textContent = words;
      canvas.setAttribute("aria-label", words);
    },
  };
}

let plates = {};

function build() {
  before.replaceChildren();
  after.replaceChildren();
  const { image, inputs, filter, stride, padding } = shown;
  const side = filter.shape[1];
  const under = (at) => Math.floor((at + padding - Math.floor(side / 2)) / stride);
  plates = {
    field: plate(before, image.shape[1], image.shape[2]),
    inputs: plate(before, inputs.shape[1], inputs.shape[2], (row, column) => [under(row), under(column)]),
    kernel: plate(before, side, side),
    maps: maps.map((map, index) => plate(index ? after : before, map.rows, map.columns, (row, column) => [row * map.step, column * map.step])),
  };
}

function paintColors(canvas, { values }) {
  const area = canvas.width * canvas.height;
  const image = canvas.getContext("2d").createImageData(canvas.width, canvas.height);
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  for (let pixel = 0; pixel < area; pixel++) {
    for (let color = 0; color < 3; color++) image.data[4 * pixel + color] = (255 * (values[color * area + pixel] - low)) / (high - low || 1);
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function paintMap(canvas, values, scaleOf = values) {
  const { largest } = range(values);
  const { signed } = range(scaleOf);
  paint(canvas, levelsOf(values, largest), signed, ramp(signed ? "--diverging" : "--sequential"));
}

let channel = 0; // of the input, that is shown: the one that contributes most at first

function paintAll() {
  const { image, inputs, filter } = shown;
  const [channels, height, width] = inputs.shape;
  const sums = channelSums(place).map(Math.abs);
  channel = sums.indexOf(Math.max(...sums));
  if (image.shape[0] === 3) paintColors(plates.field.canvas, image);
  else paint(plates.field.canvas, levelsOf(image.values, 1), false, ramp("--grey"));
  if (channels === 3) {
    paintColors(plates.inputs.canvas, inputs);
    paintColors(plates.kernel.canvas, filter);
  } else {
    paintMap(plates.inputs.canvas, inputs.values.subarray(channel * height * width, (channel + 1) * height * width), inputs.values);
    paintMap(plates.kernel.canvas, kernel(channel), [-1]);
  }
  maps.forEach(({ values }, index) => paintMap(plates.maps[index].canvas, values));
}

function table(values, signed) {
  const colors = ramp(signed ? "--diverging" : "--sequential");
  const levels = levelsOf(values, range(values).largest);
  const side = Math.sqrt(values.length);
  const rows = Array.from({ length: side }, (_, row) => {
    const cells = Array.from({ length: side }, (_, column) => {
      const index = row * side + column;
      const [red, green, blue] = colors[signed ? levels[index] : Math.max(0, Math.min(255, 2 * (levels[index] - 128)))];
      const ink = luminance(red, green, blue) > 0.179 ? "#000" : "#fff"; // the greater contrast
      return `<td style="background:rgb(${[red, green, blue].map(Math.round)});color:${ink}">${write(values[index], 2)}</td>`;
    });
    return `<tr>${cells.join("")}</tr>`;
  });
  return `<table class="grid">${rows.join("")}</table>`;
}

const WORDS = {
  "batch norm": ({ mean, deviation, weight, bias }, x) => `${write(weight)} · (${write(x)} − ${bracketed(mean)}) / ${write(deviation)} + ${bracketed(bias)}`,
  ReLU: (_, x) => `max(0, ${write(x)})`,
  GELU: (_, x) => `${write(x)} · Φ(${write(x)})`,
};

const NAMES = { "batch norm": "batch norm", ReLU: "ReLU", GELU: "GELU", pooling: "the greatest of each window" };

// Everything that depends on the place of the window.
function show() {
  const { inputs, filter, stride, padding, field, bias } = shown;
  const side = filter.shape[1];
  const sums = channelSums(place);
  const order = sums.map((_, index) => index).sort((a, b) => Math.abs(sums[b]) - Math.abs(sums[a])).slice(0, STRONGEST);
  if (sums.length <= STRONGEST) order.sort();
  const signed = range(inputs.values).signed;
  view.querySelector(".sums").innerHTML = order.map((index) => {
    const [values, weights] = [patch(index, place), kernel(index)];
    const label = sums.length > 1 ? `<small>channel ${index}</small>` : "";
    return `<div class="sum">${label}${table(values, signed)}<b>×</b>${table(weights, true)}<b>=</b>${table(values.map((value, at) => value * weights[at]), true)}<b>Σ</b><strong>${write(sums[index])}</strong></div>`;
  }).join("");
  const [{ values, columns }] = maps;
  const total = values[place[0] * columns + place[1]];
  const rest = sums.reduce((sum, value) => sum + value, 0) - order.reduce((sum, index) => sum + sums[index], 0);
  const others = sums.length > order.length ? [`${bracketed(rest)} (the ${sums.length - order.length} other channels)`] : [];
  const parts = [...order.map((index) => bracketed(sums[index])), ...others, `${bracketed(bias)} (bias)`];
  view.querySelector(".total").innerHTML = `${parts.join(" + ")} = <strong>${write(total)}</strong>`;

  const fieldAt = place.map((at) => Math.round(field.start + field.step * at));
  plates.field.show(...fieldAt, Math.round(field.size), Math.round(field.size), "receptive field on the input");
  plates.inputs.show(...place.map((at) => at * stride - padding), side, side, filter.shape[0] === 3 ? "before: the image" : `before: channel ${channel}${shown.before && ` of ${shown.before}`}`);
  plates.kernel.show(0, 0, 0, 0, `kernel ${shown.map} of ${shown.layer}`);
  maps.forEach((map, index) => {
    const [row, column] = placeOn(map);
    const value = map.values[row * map.columns + column];
    if (!index) return plates.maps[0].show(row, column, 1, 1, `after ${map.name}: map ${shown.map}, row ${row}, column ${column}: ${write(value)}`);
    const last = maps[index - 1];
    const [lastRow, lastColumn] = placeOn(last);
    const x = last.values[lastRow * last.columns + lastColumn];
    const words = map.kind === "pooling" ? `max(${poolWindow(last, map, [row, column]).map((value) => write(value)).join(", ")})` : WORDS[map.kind](map, x);
    plates.maps[index].show(row, column, 1, 1, `${map.name} (${NAMES[map.kind]}): ${words} = ${write(value)}`);
  });
}

function moveTo([row, column]) {
  const [{ rows, columns }] = maps;
  const at = [Math.min(rows - 1, Math.max(0, row)), Math.min(columns - 1, Math.max(0, column))];
  chosen = true;
  if (at[0] === place[0] && at[1] === place[1]) return;
  place = at;
  show();
}

function receive() {
  const message = props.value;
  if (!message || message.version === undefined) return;
  view.dataset.version = message.version;
  view.classList.toggle("none", Boolean(message.missing));
  view.querySelector(".empty").hidden = !message.missing;
  view.querySelector(".empty").textContent = message.missing;
  shown = null;
  if (message.missing) return;
  shown = { ...message, image: decode(message.image), inputs: decode(message.inputs), filter: decode(message.filter) };
  view.querySelector("h3").textContent = `One number of map ${shown.map} of ${shown.layer}`;
  compute();
  build();
  paintAll();
  show();
}

function live({ detail: { network, pixels, layers } }) {
  if (!element.isConnected) return removeEventListener("activations", live);
  if (!onScreen || !shown || shown.network !== network.name) return;
  const input = layers.find(({ name }) => name === shown.before);
  if (!input || input.values.length !== shown.inputs.values.length) return;
  shown.inputs.values = input.values;
  shown.image.values = pixels;
  compute();
  paintAll();
  show();
  view.dataset.version = cnn.version;
  view.classList.remove("stale");
}

watch("value", receive);
addEventListener("activations", live);
