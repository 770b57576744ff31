// Colours of values, for the scripts that draw feature maps.

// 256 colours from a list of "red green blue" in the page's style.
function ramp(name) {
  const stops = getComputedStyle(document.querySelector(".page-grid")).getPropertyValue(name).split(",").map((color) => color.trim().split(/\s+/).map(Number));
  return Array.from({ length: 256 }, (_, index) => {
    const at = (index / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return stops[low].map((part, channel) => part + (at - low) * (stops[low + 1][channel] - part));
  });
}

// Levels are bytes, 128 for zero and 255 for the greatest magnitude.
function paint(canvas, levels, signed, colors) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let pixel = 0; pixel < levels.length; pixel++) {
    const color = colors[signed ? levels[pixel] : Math.max(0, Math.min(255, 2 * (levels[pixel] - 128)))];
    image.data.set(color, 4 * pixel);
    image.data[4 * pixel + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// The greatest magnitude of values, and whether one of them is negative.
function range(values) {
  let largest = 1e-12;
  let signed = false;
  for (const value of values) {
    if (Math.abs(value) > largest) largest = Math.abs(value);
    if (value < 0) signed = true;
  }
  return { largest, signed };
}

const levelsOf = (values, largest) => Uint8Array.from(values, (value) => Math.round(128 + (127 * value) / largest));

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// The relative luminance of a colour of bytes, in [0, 1], as WCAG 2 defines it.
function luminance(...color) {
  const [red, green, blue] = color.map((part) => (part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
