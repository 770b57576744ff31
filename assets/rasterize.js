// How pen strokes become an image of MNIST's kind: what cnn/data/strokes.py does, within one grey
// level of 255. A drawing is a list of strokes, a stroke a list of points [x, y], y down, any unit.

const SIDE = 28; // pixels of the image
const BOX = 20; // pixels that the ink fills on its longer side
const GAP = (SIDE - BOX) / 2;
const MIDDLE = (BOX - 1) / 2; // of the box, where a whole number is the middle of a pixel
const PEN = 2.4; // pixels
const SOFTNESS = 1; // pixels: the breadth of the pen's grey edge
const NEGLIGIBLE = 1e-300; // an extent that no scale can be computed from
const SPECK = 0.05; // a stroke this much smaller than the largest is a slip of the pen
const MAX_POINTS = 512;

// 28 * 28 values in [0, 1], row by row, 0 for paper and 1 for ink. The ink lies with its centre of
// mass in the middle to within half a pixel (LeCun, Cortes and Burges, "The MNIST database").
function rasterize(strokes) {
  const image = new Float32Array(SIDE * SIDE);
  const box = fitToBox(strokes);
  let total = 0, right = 0, down = 0;
  box.forEach((ink, place) => {
    total += ink;
    right += ink * (place % BOX);
    down += ink * Math.floor(place / BOX);
  });
  if (!total) return image;
  const [column, row] = [right, down].map((moment) => {
    const shift = roundHalfToEven(MIDDLE - moment / total);
    return GAP + Math.min(Math.max(shift, -GAP), GAP);
  });
  for (let y = 0; y < BOX; y++) image.set(box.subarray(y * BOX, (y + 1) * BOX), (row + y) * SIDE + column);
  return image;
}

// The ink before it is centred: 20 * 20 values in [0, 1].
function fitToBox(drawing) {
  const ink = new Float32Array(BOX * BOX);
  const strokes = thin(dropSpecks(drawing.filter((stroke) => stroke.length).map(atLeastTwo)));
  if (!strokes.length) return ink;
  const [left, right, top, bottom] = bounds(strokes.flat());
  const extent = Math.max(right - left, bottom - top);
  const scale = extent > NEGLIGIBLE ? (BOX - PEN - SOFTNESS + 1) / extent : 1;
  const place = ([x, y]) => [
    (x - (left + right) / 2) * scale + MIDDLE,
    (y - (top + bottom) / 2) * scale + MIDDLE,
  ];
  const nearest = new Float64Array(BOX * BOX).fill(Infinity); // squared distance to the line
  for (const stroke of strokes) {
    const points = stroke.map(place);
    for (let end = 1; end < points.length; end++) measureDistances(nearest, points[end - 1], points[end]);
  }
  return ink.map((_, pixel) => Math.min(Math.max((PEN / 2 - Math.sqrt(nearest[pixel])) / SOFTNESS + 0.5, 0), 1));
}

// Lower each pixel's squared distance to that from a segment where it is nearer.
function measureDistances(nearest, [startX, startY], [endX, endY]) {
  const length = Math.hypot(endX - startX, endY - startY);
  const [right, down] = length ? [(endX - startX) / length, (endY - startY) / length] : [1, 0];
  for (let y = 0, pixel = 0; y < BOX; y++) {
    for (let x = 0; x < BOX; x++, pixel++) {
      const along = (x - startX) * right + (y - startY) * down;
      const beyond = along - Math.min(Math.max(along, 0), length);
      const across = (y - startY) * right - (x - startX) * down;
      const distance = beyond * beyond + across * across;
      if (distance < nearest[pixel]) nearest[pixel] = distance;
    }
  }
}

// A single point stands twice: a segment without length is a dot.
const atLeastTwo = (stroke) => (stroke.length > 1 ? stroke : [stroke[0], stroke[0]]);

// The strokes that are more than a dot beside the largest of them.
function dropSpecks(strokes) {
  const extents = strokes.map((stroke) => {
    const [left, right, top, bottom] = bounds(stroke);
    return Math.max(right - left, bottom - top);
  });
  const smallest = SPECK * Math.max(...extents);
  return strokes.filter((_, index) => strokes.length < 2 || extents[index] >= smallest);
}

// The same lines in about 512 points, for the distances cost time by the point.
function thin(strokes) {
  const count = strokes.reduce((sum, stroke) => sum + stroke.length, 0);
  if (count <= MAX_POINTS) return strokes;
  return strokes.map((stroke) => resample(stroke, Math.max(2, roundHalfToEven((stroke.length * MAX_POINTS) / count))));
}

// Points at even distances along a stroke, both its ends among them.
function resample(stroke, count) {
  const travelled = [0];
  for (let end = 1; end < stroke.length; end++) {
    const [[x, y], [nextX, nextY]] = [stroke[end - 1], stroke[end]];
    travelled.push(travelled[end - 1] + Math.hypot(nextX - x, nextY - y));
  }
  const last = stroke.length - 1;
  let before = 0;
  return Array.from({ length: count }, (_, index) => {
    const at = (travelled[last] * index) / (count - 1);
    while (before < last && travelled[before + 1] <= at) before++;
    if (before === last) return stroke[last];
    const share = (at - travelled[before]) / (travelled[before + 1] - travelled[before]);
    return stroke[before].map((value, axis) => value + share * (stroke[before + 1][axis] - value));
  });
}

function bounds(points) {
  let left = Infinity, right = -Infinity, top = Infinity, bottom = -Infinity;
  for (const [x, y] of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return [left, right, top, bottom];
}

function roundHalfToEven(value) {
  const nearest = Math.round(value);
  return Math.abs(value % 1) === 0.5 && nearest % 2 ? nearest - 1 : nearest;
}
