// Draws curves on a canvas that stays. Python says in JSON what is to be seen:
// { title, by, curves: [{ name, color, style, points: [[x, y], ...] }] }, the style one of line, points and
// faint, which has no legend.

const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
const [LEFT, RIGHT, HEAD, FOOT] = [56, 20, 34, 26];
let pointed = Infinity; // where the pointer is, in pixels; else the last points are told

const { format: written } = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

// Round numbers from `low` or below to `high` or above, about `count`, no closer than `least`.
function ticks(low, high, count, least = 0) {
  const rough = Math.max((high - low || Math.abs(high) || 1) / count, least);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power > 0.99 * rough);
  const first = Math.floor(low / step);
  const steps = Math.max(1, Math.ceil(high / step) - first);
  return Array.from({ length: steps + 1 }, (_, place) => (first + place) * step);
}

// Where a value lies between two pixels, if the first and the last tick lie on them.
const scale = (ticks, from, to) => (value) =>
  from + ((value - ticks[0]) / (ticks.at(-1) - ticks[0])) * (to - from);

function write(text, x, y, align, color, font = "400 12px") {
  pen.font = `${font} ${getComputedStyle(canvas).fontFamily}`;
  pen.textAlign = align;
  pen.fillStyle = color;
  pen.fillText(text, x, y);
}

function draw() {
  const { title, by, curves } = JSON.parse(props.value);
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  pen.scale(devicePixelRatio, devicePixelRatio);
  pen.textBaseline = "middle";
  const style = getComputedStyle(canvas);
  const [text, quiet, line] = ["--text", "--quiet", "--line"].map((n) => style.getPropertyValue(n));

  const points = curves.flatMap((curve) => curve.points);
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const least = by === "step" ? 1 : 0;
  const across = ticks(0, Math.max(...xs, points.length ? 0 : 100), width / 90, least);
  const up = points.length ? ticks(Math.min(...ys), Math.max(...ys), height / 50) : [0, 1];
  const [x, y] = [scale(across, LEFT, width - RIGHT), scale(up, height - FOOT, HEAD)];
  for (const value of up) {
    pen.fillStyle = line;
    pen.fillRect(LEFT, Math.round(y(value)), width - RIGHT - LEFT, 1);
    if (points.length) write(written(value), LEFT - 10, y(value), "right", quiet);
  }
  write(by, LEFT - 10, height - 10, "right", quiet);
  for (const value of across.slice(1)) {
    write(written(value), x(value), height - 10, "center", quiet);
  }

  const away = (point) => Math.abs(x(point[0]) - pointed);
  const shown = curves.filter(({ style, points }) => style !== "faint" && points.length);
  for (const { color, style, points } of curves) {
    pen.strokeStyle = pen.fillStyle = color;
    pen.globalAlpha = style === "faint" ? 0.3 : 1;
    pen.lineWidth = style === "faint" ? 1 : 2;
    pen.beginPath();
    for (const point of points) {
      if (style !== "points") pen.lineTo(x(point[0]), y(point[1]));
      else pen.roundRect(x(point[0]) - 4, y(point[1]) - 4, 8, 8, 4);
    }
    style === "points" ? pen.fill() : pen.stroke();
  }
  pen.globalAlpha = 1;
  const told = shown.map(({ name, color, points }) => {
    const marked = points.reduce((one, other) => (away(one) < away(other) ? one : other));
    pen.beginPath();
    pen.arc(x(marked[0]), y(marked[1]), 4, 0, 7);
    pen.fillStyle = color;
    pen.fill();
    return `${name} ${written(marked[1])}`;
  });
  canvas.setAttribute("aria-label", `${title} by ${by}: ${told.join(", ") || "nothing yet"}`);

  write(title, 0, 10, "left", text, "600 14px");
  const head = pen.measureText(title).width;
  pen.font = `400 13px ${style.fontFamily}`;
  const roomy = width > told.reduce((sum, words) => sum + pen.measureText(words).width + 40, head + RIGHT);
  let right = width - RIGHT;
  shown.reverse().forEach(({ name, color, style }, place) => {
    const words = roomy ? told.at(-1 - place) : name;
    write(words, right, 10, "right", quiet, "400 13px");
    right -= pen.measureText(words).width + 20;
    pen.fillStyle = color;
    if (style === "points") pen.fillRect(right + 4, 7, 7, 7);
    else pen.fillRect(right, 9, 14, 3);
    right -= 20;
  });
}

function point(event) {
  pointed = event.type === "pointerleave" ? Infinity : event.offsetX;
  draw();
}

canvas.addEventListener("pointermove", point);
canvas.addEventListener("pointerleave", point);
element.querySelector("a").addEventListener("click", (event) => {
  event.currentTarget.href = canvas.toDataURL();
});
new ResizeObserver(draw).observe(canvas);
watch("value", draw);
