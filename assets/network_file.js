// Reads a network from a file for browsers and checks that it is one, for inference.js.

const MAX_HEADER_BYTES = 1 << 16;
const MAX_VALUES = 1 << 22; // of one array, and of all activations
const MAX_LAYERS = 200;


// Read a network from an ArrayBuffer. The file is "CNN1", the length of the header in bytes
// (uint32), the header (JSON, filled with spaces to an even length) and the weights of each layer
// in turn (float16), all of it little endian. Throws an Error for whatever is not such a file.
function readNetwork(file) {
  const view = new DataView(file);
  if (file.byteLength < 8 || view.getUint32(0, true) !== 0x314e4e43) throw new Error("This is not a network's file.");
  const length = view.getUint32(4, true);
  if (length > MAX_HEADER_BYTES || 8 + length > file.byteLength) throw new Error("The network's header is cut short.");
  const network = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  const weights = readWeights(view, 8 + length);
  check(Array.isArray(network.layers) && Array.isArray(network.classes), "The network's header is incomplete.");
  check(network.temperature > 0 && network.ood && Object.hasOwn(OOD_SCORES, network.ood.score), "The network's verdict is unknown.");
  check(String(network.input) === `1,${SIDE},${SIDE}`, "The network does not predict drawings.");
  const shape = readLayers(network.layers, network.input, weights, { layers: MAX_LAYERS, values: MAX_VALUES });
  check(shape.length === 1 && shape[0] === network.classes.length, "The network does not end with its classes.");
  check(weights.left() === 0, "The network's file is longer than its layers.");
  return network;
}

function check(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

const isCount = (value) => Number.isInteger(value) && value > 0 && value <= MAX_VALUES;
const isShape = (shape) => Array.isArray(shape) && shape.every(isCount) && size(shape) <= MAX_VALUES;

// Give each layer its weights, and return the shape of the last one's output.
function readLayers(layers, shape, weights, budget) {
  for (const layer of layers) {
    check(budget.layers-- > 0, "The network has too many layers.");
    check(Object.hasOwn(LAYERS, layer.type), "The network has a layer of an unknown type.");
    shape = (READERS[layer.type] || ((_, same) => same))(layer, shape, weights, budget);
    check(isShape(shape), `The layer ${layer.name} does not fit what it is given.`);
    budget.values -= size(shape);
    check(budget.values >= 0, "The network's activations are too large.");
  }
  return shape;
}

// For each type of layer: take its weights from the file and return the shape of its output.
const READERS = {
  normalize(layer, shape) {
    for (const list of [layer.mean, layer.std]) check(Array.isArray(list) && list.length === shape[0], "Normalisation is incomplete.");
    return shape;
  },
  conv(layer, [channels, height, width], weights) {
    const { filters, kernel, stride, padding } = layer;
    check([channels, height, width, filters, kernel, stride, padding + 1].every(isCount), "A convolution is incomplete.");
    const side = (length) => Math.floor((length + 2 * padding - kernel) / stride) + 1;
    check(side(height) * side(width) * channels * kernel * kernel <= MAX_VALUES, "A convolution is too large.");
    takeMatrix(layer, filters, channels * kernel * kernel, weights);
    return [filters, side(height), side(width)];
  },
  batch_norm(layer, shape, weights) {
    for (const name of ["weight", "bias", "mean", "variance"]) layer[name] = weights.take(shape[0]);
    return shape;
  },
  max_pool({ kernel, stride }, [channels, height, width]) {
    check([height, width, kernel, stride].every(isCount), "A pooling is incomplete.");
    const side = (length) => Math.floor((length - kernel) / stride) + 1;
    return [channels, side(height), side(width)];
  },
  global_mean: (_, [channels]) => [channels, 1, 1],
  global_max: (_, [channels]) => [channels, 1, 1],
  flatten: (_, shape) => [size(shape)],
  dense(layer, shape, weights) {
    check(shape.length === 1 && isCount(layer.units), "A dense layer is incomplete.");
    takeMatrix(layer, layer.units, shape[0], weights);
    return [layer.units];
  },
  to_color: ({ size: side }, [channels]) => [channels === 1 || channels === 3 ? 3 : 0, side, side],
  sequential: ({ layers }, shape, weights, budget) => readLayers(layers, shape, weights, budget),
  residual({ main, shortcut }, shape, weights, budget) {
    const change = readLayers(main, shape, weights, budget);
    const kept = readLayers(shortcut, shape, weights, budget);
    check(String(change) === String(kept), "A residual block's two ways do not meet.");
    return change;
  },
};

// The weights of a convolution or dense layer, with rows of zeros up to a multiple of four, and
// its biases, zero where it has none.
function takeMatrix(layer, units, length, weights) {
  layer.weight = weights.take(units * length, roundUp(units) * length);
  layer.bias = layer.bias ? weights.take(units) : new Float32Array(units);
}

// Takes the file's float16 weights one array after the other, as Float32Arrays.
function readWeights(view, start) {
  let place = start;
  return {
    take(count, length = count) {
      check(place + 2 * count <= view.byteLength, "The network's weights are cut short.");
      const values = new Float32Array(length);
      for (let index = 0; index < count; index++, place += 2) values[index] = fromHalf(view.getUint16(place, true));
      return values;
    },
    left: () => view.byteLength - place,
  };
}

// A float16 by its bits: a sign, 5 of exponent, 10 of fraction.
function fromHalf(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  check(exponent < 31, "The network's weights are not finite.");
  const magnitude = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
  return bits >> 15 ? -magnitude : magnitude;
}
