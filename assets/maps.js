// Shows the feature maps of a drawing as it grows, in the element with the class "strip": after each
// activation all of its maps in one grid, or in one row as many as the attribute `data-maps` says. One
// scale serves all maps of a layer, from zero to the greatest value.

const SHOWN = ["relu", "gelu", "sequential", "residual"];
const WIDTH = 250; // pixels of a grid on the screen, at most

// The number of columns that leaves no gap in a grid half as wide again as it is high.
function columnsOf(channels) {
  const even = Math.sqrt(1.5 * channels);
  const divisors = Array.from({ length: channels }, (_, index) => index + 1).filter((count) => channels % count === 0);
  const nearest = divisors.reduce((a, b) => (Math.abs(Math.log(b / even)) < Math.abs(Math.log(a / even)) ? b : a));
  return Math.abs(Math.log(nearest / even)) < 0.5 ? nearest : Math.ceil(even);
}

function createFigure({ name, shape: [channels, height, width] }, limit) {
  const count = Math.min(channels, limit || channels);
  const columns = limit ? count : columnsOf(count);
  const canvas = document.createElement("canvas");
  canvas.width = columns * (width + 1) - 1;
  canvas.height = Math.ceil(count / columns) * (height + 1) - 1;
  if (!limit) canvas.style.width = canvas.width * Math.max(1, Math.floor(WIDTH / canvas.width)) + "px";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${count} feature maps after ${name}`);
  const caption = document.createElement("figcaption");
  caption.innerHTML = "<b></b> <span></span>";
  caption.firstChild.textContent = name;
  caption.lastChild.textContent = `${channels} maps of ${height} × ${width}`;
  const node = document.createElement("figure");
  node.append(...(limit ? [canvas, caption] : [caption, canvas]));
  return { node, count, columns, context: canvas.getContext("2d") };
}

// 256 colours from least to greatest, from the style's list --ramp of red green blue.
function ramp() {
  const text = getComputedStyle(element).getPropertyValue("--ramp") || "0 0 0, 122 38 8, 222 88 36, 255 176 138, 255 250 242";
  const stops = text.split(",").map((color) => color.trim().split(/\s+/).map(Number));
  return Array.from({ length: 256 }, (_, index) => {
    const at = (index / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return stops[low].map((part, channel) => part + (at - low) * (stops[low + 1][channel] - part));
  });
}

function paintMaps({ context, count, columns }, { shape: [, height, width], values }, colors) {
  const image = context.createImageData(context.canvas.width, context.canvas.height);
  const greatest = values.reduce((a, b) => Math.max(a, b), 1e-6);
  let value = 0;
  for (let channel = 0; channel < count; channel++) {
    const left = (channel % columns) * (width + 1);
    const top = Math.floor(channel / columns) * (height + 1);
    for (let y = 0; y < height; y++) {
      let pixel = 4 * ((top + y) * image.width + left);
      for (let x = 0; x < width; x++, value++, pixel += 4) {
        const color = colors[Math.round((255 * Math.max(values[value], 0)) / greatest)];
        image.data[pixel] = color[0];
        image.data[pixel + 1] = color[1];
        image.data[pixel + 2] = color[2];
        image.data[pixel + 3] = 255;
      }
    }
  }
  context.putImageData(image, 0, 0);
}

let figures = [];

function showMaps({ detail: { layers } }) {
  const strip = element.querySelector(".strip");
  if (!strip) return removeEventListener("activations", showMaps);
  const shown = layers.filter(({ type, shape }) => SHOWN.includes(type) && shape.length === 3);
  const key = JSON.stringify(shown.map(({ name, shape }) => [name, shape]));
  if (key !== figures.key || !strip.contains(figures[0].node)) {
    figures = shown.map((layer) => createFigure(layer, Number(strip.dataset.maps)));
    figures.key = key;
    strip.replaceChildren(...figures.map(({ node }) => node));
  }
  const colors = ramp();
  shown.forEach((layer, index) => paintMaps(figures[index], layer, colors));
}

addEventListener("activations", showMaps);
