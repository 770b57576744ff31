// Shows a prediction in the section of prediction.html, or that there is none yet.

const panel = element.querySelector(".prediction");
const part = (name) => panel.querySelector("." + name);
const meters = [...panel.querySelectorAll(".meter")];
const seen = part("sees").querySelector("canvas").getContext("2d");
const captionAtRest = part("note").textContent;

function showMeters(probabilities) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  const texts = percentages(probabilities);
  meters.forEach((meter, index) => {
    const value = probabilities[index];
    meter.setAttribute("aria-valuenow", value.toFixed(6));
    meter.setAttribute("aria-valuetext", texts[index]);
    meter.style.setProperty("--share", value);
    meter.classList.toggle("best", index === best && value > 0);
    meter.querySelector(".percent").textContent = texts[index];
  });
}

function showPixels(pixels) {
  const { width, height } = seen.canvas;
  const channels = pixels.length / (width * height);
  const image = seen.createImageData(width, height);
  for (let place = 0; place < width * height; place++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[4 * place + channel] = pixels[channels * place + (channel % channels)];
    }
    image.data[4 * place + 3] = 255;
  }
  seen.putImageData(image, 0, 0);
}

// Attribution answers this question, in Inside.
part("why").addEventListener("click", () => {
  cnn.openTab("inside");
  cnn.openSection("attribution");
});

function showNothing() {
  panel.dataset.verdict = "blank";
  part("label").textContent = "";
  part("probability").textContent = "";
  part("words").textContent = props.invitation;
  part("note").textContent = captionAtRest;
  part("time").textContent = "";
  showMeters(meters.map(() => 0));
  part("why").hidden = true;
  seen.clearRect(0, 0, seen.canvas.width, seen.canvas.height);
}

function show(prediction) {
  if (!prediction) return showNothing();
  showMeters(prediction.probabilities);
  showPixels(prediction.pixels);
  panel.dataset.verdict = prediction.verdict;
  part("label").textContent = prediction.label;
  part("probability").textContent = prediction.label && panel.querySelector(".meter.best .percent").textContent;
  part("words").textContent = prediction.words;
  part("network").textContent = prediction.source;
  part("why").hidden = prediction.verdict === "blank";
  if (prediction.milliseconds) part("time").textContent = prediction.milliseconds + " ms";
  if (prediction.note) part("note").textContent = prediction.note;
}

// A prediction of inference.js as `show` wants it.
function describe({ probabilities, verdict, pixels }, source) {
  const ranked = probabilities.map((_, index) => index).sort((a, b) => probabilities[b] - probabilities[a]);
  const [label, second] = ranked.map((index) => props.classes[index]);
  const words = {
    blank: "There is nothing to see yet.",
    out_of_distribution: `None of the ten, it seems. Closest: ${label}.`,
    uncertain: `uncertain, perhaps ${second}`,
    confident: "confident",
  };
  const known = verdict === "confident" || verdict === "uncertain";
  return {
    ...{ probabilities, verdict, source, label: known ? label : "", words: words[verdict] },
    pixels: Array.from(pixels, (value) => Math.round(255 * value)),
  };
}
