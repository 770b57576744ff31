// How a convolutional network computes its prediction, in plain JavaScript and without a library.
//
// Runs in a Web Worker, after rasterize.js and network_file.js, so that the page stays free to draw. It is asked by
// messages, each with an `id` that the reply repeats:
//
//   {id, file}     load a network: an ArrayBuffer as cnn/models/web.py writes it
//                  -> {id, header}: {name, classes, input, layers: [{name, type}]}
//   {id, strokes}  predict a drawing: strokes of [x, y] points, y down, in any unit
//                  -> {id, pixels, logits, probabilities, verdict, layers}
//
// `pixels` is what the network sees, 28 * 28 values in [0, 1]. `layers` holds the activations of
// every layer in the network's order, {name, type, shape, values}: `shape` is [channels, height,
// width], or [units] after flatten, and `values` a Float32Array, one channel after the other, row
// by row. They are handed over and not copied. A fault is {id, error}, a sentence.
//
// A tensor here is {shape, values}. A layer is a function of a tensor and of its description in the
// file's header, with its weights, that returns a new tensor.

const CONFIDENT = 0.9; // as in cnn/evaluation/prediction.py

const tensor = (shape, values) => ({ shape, values: values || new Float32Array(size(shape)) });
const size = (shape) => shape.reduce((product, length) => product * length, 1);

// ---- the layers ------------------------------------------------------------------------------

// Bring each channel to zero mean and unit deviation: [C, H, W] -> [C, H, W].
function normalize(input, { mean, std }) {
  return perChannel(input, (value, channel) => (value - mean[channel]) / std[channel]);
}

// Slide kernels over the image: [C, H, W] -> [filters, rows, columns].
//
// What a kernel sees at one place is a patch of C x kernel x kernel values, and what it says of it
// is their weighted sum. So all filters at all places are one product of two matrices.
function conv(input, layer) {
  const { filters, kernel, stride, padding } = layer;
  const [, height, width] = input.shape;
  const rows = Math.floor((height + 2 * padding - kernel) / stride) + 1;
  const columns = Math.floor((width + 2 * padding - kernel) / stride) + 1;
  const patches = cutPatches(input, layer, rows, columns);
  return tensor([filters, rows, columns], multiply(layer, patches, rows * columns));
}

// The patches of an image [C, H, W], one after the other: rows * columns times C * kernel * kernel
// values, zero where a patch reaches over the edge.
function cutPatches({ shape: [channels, height, width], values }, { kernel, stride, padding }, rows, columns) {
  const patches = new Float32Array(roundUp(rows * columns) * channels * kernel * kernel);
  let place = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let channel = 0; channel < channels; channel++) {
        for (let i = 0; i < kernel; i++) {
          const y = row * stride - padding + i;
          const inside = y >= 0 && y < height;
          const start = (channel * height + y) * width;
          for (let j = 0; j < kernel; j++, place++) {
            const x = column * stride - padding + j;
            if (inside && x >= 0 && x < width) patches[place] = values[start + x];
          }
        }
      }
    }
  }
  return patches;
}

// Scale and shift each channel by the statistics of training images: [C, H, W] -> [C, H, W].
function batchNorm(input, { weight, bias, mean, variance, epsilon }) {
  const scale = weight.map((factor, channel) => factor / Math.sqrt(variance[channel] + epsilon));
  return perChannel(input, (value, channel) => (value - mean[channel]) * scale[channel] + bias[channel]);
}

// Keep what is positive.
function relu({ shape, values }) {
  return tensor(shape, values.map((value) => (value > 0 ? value : 0)));
}

// Weight each value by the probability that a standard normal number is smaller.
function gelu({ shape, values }) {
  return tensor(shape, values.map((value) => 0.5 * value * (1 + erf(value / Math.SQRT2))));
}

// The error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26).
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

// Keep the greatest value of each square: [C, H, W] -> [C, rows, columns].
function maxPool({ shape: [channels, height, width], values }, { kernel, stride }) {
  const rows = Math.floor((height - kernel) / stride) + 1;
  const columns = Math.floor((width - kernel) / stride) + 1;
  const output = tensor([channels, rows, columns]);
  let place = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, place++) {
        const corner = (channel * height + row * stride) * width + column * stride;
        let greatest = -Infinity;
        for (let i = 0; i < kernel; i++) {
          for (let j = 0; j < kernel; j++) greatest = Math.max(greatest, values[corner + i * width + j]);
        }
        output.values[place] = greatest;
      }
    }
  }
  return output;
}

// One value for each channel, its mean or its greatest: [C, H, W] -> [C, 1, 1].
const globalMean = (input) => reduceChannels(input, (map) => map.reduce((sum, value) => sum + value, 0) / map.length);
const globalMax = (input) => reduceChannels(input, (map) => map.reduce((a, b) => Math.max(a, b)));

// The same values in one row: [C, H, W] -> [C * H * W].
const flatten = ({ shape, values }) => tensor([size(shape)], values);

// A weighted sum of all inputs for each unit: [N] -> [units].
function dense({ shape: [count], values }, layer) {
  const row = new Float32Array(roundUp(1) * count);
  row.set(values);
  return tensor([layer.units], multiply(layer, row, 1));
}

// Multiply by a constant.
const scale = ({ shape, values }, { factor }) => tensor(shape, values.map((value) => value * factor));

// A grey image in each of three colours, enlarged with straight lines between the middles of its
// pixels: [1, H, W] -> [3, size, size].
function toColor({ shape: [channels, height, width], values }, { size: side }) {
  const output = tensor([3, side, side]);
  const between = (place, length) => {
    const at = Math.min(Math.max(((place + 0.5) * length) / side - 0.5, 0), length - 1);
    const low = Math.floor(at);
    return [low, Math.min(low + 1, length - 1), at - low];
  };
  for (let color = 0, place = 0; color < 3; color++) {
    const map = (channels === 1 ? 0 : color) * height * width;
    for (let row = 0; row < side; row++) {
      const [above, below, down] = between(row, height);
      for (let column = 0; column < side; column++, place++) {
        const [left, right, along] = between(column, width);
        const line = (y) => values[map + y * width + left] * (1 - along) + values[map + y * width + right] * along;
        output.values[place] = line(above) * (1 - down) + line(below) * down;
      }
    }
  }
  return output;
}

// Layers one after the other.
const sequential = (input, { layers }) => layers.reduce(apply, input);

// What some layers make of the input, added to the input itself or to its shortcut (He et al., 2015).
function residual(input, { main, shortcut }) {
  const change = sequential(input, { layers: main });
  const kept = sequential(input, { layers: shortcut });
  return relu(tensor(change.shape, change.values.map((value, place) => value + kept.values[place])));
}

const LAYERS = {
  normalize, conv, relu, gelu, flatten, dense, scale, sequential, residual,
  batch_norm: batchNorm, max_pool: maxPool, global_mean: globalMean, global_max: globalMax,
  to_color: toColor, identity: (input) => input,
};

const apply = (input, layer) => LAYERS[layer.type](input, layer);

// ---- what the layers share -------------------------------------------------------------------

function perChannel({ shape, values }, change) {
  const output = tensor(shape);
  const area = shape[1] * shape[2];
  for (let channel = 0, place = 0; channel < shape[0]; channel++) {
    for (const end = place + area; place < end; place++) output.values[place] = change(values[place], channel);
  }
  return output;
}

function reduceChannels({ shape: [channels, height, width], values }, reduce) {
  const output = tensor([channels, 1, 1]);
  const area = height * width;
  for (let channel = 0; channel < channels; channel++) {
    output.values[channel] = reduce(values.subarray(channel * area, (channel + 1) * area));
  }
  return output;
}

const BLOCK = 4;
const roundUp = (count) => Math.ceil(count / BLOCK) * BLOCK;

// The weighted sum of each of `count` rows of inputs with each unit's weights, plus its bias:
// returns units x count values. Both matrices have rows of `length` values and, by zeros at their
// end, a multiple of four rows. Sixteen sums grow at once, so that each number that is read
// counts four times: twice as fast as one sum after the other.
function multiply({ weight, bias, units = bias.length }, inputs, count) {
  const length = inputs.length / roundUp(count);
  const output = new Float32Array(units * count);
  for (let unit = 0; unit < units; unit += BLOCK) {
    for (let row = 0; row < count; row += BLOCK) {
      let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
      let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
      const w = unit * length, x = row * length;
      for (let k = 0; k < length; k++) {
        const w0 = weight[w + k], w1 = weight[w + length + k];
        const w2 = weight[w + 2 * length + k], w3 = weight[w + 3 * length + k];
        const x0 = inputs[x + k], x1 = inputs[x + length + k];
        const x2 = inputs[x + 2 * length + k], x3 = inputs[x + 3 * length + k];
        s00 += w0 * x0; s01 += w0 * x1; s02 += w0 * x2; s03 += w0 * x3;
        s10 += w1 * x0; s11 += w1 * x1; s12 += w1 * x2; s13 += w1 * x3;
        s20 += w2 * x0; s21 += w2 * x1; s22 += w2 * x2; s23 += w2 * x3;
        s30 += w3 * x0; s31 += w3 * x1; s32 += w3 * x2; s33 += w3 * x3;
      }
      const sums = [s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, s31, s32, s33];
      for (let i = 0; i < BLOCK && unit + i < units; i++) {
        for (let j = 0; j < BLOCK && row + j < count; j++) {
          output[(unit + i) * count + row + j] = sums[BLOCK * i + j] + bias[unit + i];
        }
      }
    }
  }
  return output;
}

// ---- from an image to a verdict ----------------------------------------------------------------

// Every layer's output for an image, in the network's order: [{name, type, shape, values}].
function forward({ layers }, image) {
  const activations = [];
  let output = image;
  for (const layer of layers) {
    output = apply(output, layer);
    activations.push({ name: layer.name, type: layer.type, ...output });
  }
  return activations;
}

const logSumExp = (values) => {
  const greatest = Math.max(...values);
  return greatest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - greatest), 0));
};

// Scores of logits: an image whose score is below the network's threshold is probably none of the
// classes. The energy is that of Liu et al. (2020).
const OOD_SCORES = { energy: logSumExp };

// Softmax with the temperature that makes probabilities honest (Guo et al., 2017).
function softmax(logits, temperature) {
  const scaled = Array.from(logits, (logit) => logit / temperature);
  const total = logSumExp(scaled);
  return scaled.map((value) => Math.exp(value - total));
}

// The prediction for 28 * 28 values in [0, 1], as cnn/evaluation/prediction.py defines it.
function predict(network, pixels) {
  const layers = forward(network, tensor(network.input, pixels));
  const logits = Array.from(layers[layers.length - 1].values);
  if (!pixels.some(Boolean)) {
    return { pixels, logits, probabilities: logits.map(() => 1 / logits.length), verdict: "blank", layers };
  }
  const probabilities = softmax(logits, network.temperature);
  const known = OOD_SCORES[network.ood.score](logits) >= network.ood.threshold;
  const confident = Math.max(...probabilities) >= CONFIDENT;
  const verdict = !known ? "out_of_distribution" : confident ? "confident" : "uncertain";
  return { pixels, logits, probabilities, verdict, layers };
}

// ---- the worker --------------------------------------------------------------------------------

let network = null;

function reply({ file, strokes }) {
  if (strokes) return predict(network, rasterize(strokes));
  network = readNetwork(file);
  const { name, classes, input, layers } = network;
  return { header: { name, classes, input, layers: layers.map(({ name, type }) => ({ name, type })) } };
}

self.onmessage = ({ data }) => {
  try {
    const answer = reply(data);
    const buffers = new Set((answer.layers || []).map(({ values }) => values.buffer));
    self.postMessage({ id: data.id, ...answer }, [...buffers]);
  } catch (error) {
    self.postMessage({ id: data.id, error: error.message });
  }
};
