// Shows an answer in the section of answer.html, or that there is none yet.

const answerSection = element.querySelector(".answer");
const part = (name) => answerSection.querySelector("." + name);
const meters = [...answerSection.querySelectorAll(".meter")];
const picture = part("sees").querySelector("canvas").getContext("2d");
const captionAtRest = part("note").textContent;

// 99.97 reads 99.9: only certainty itself is written 100.
const percent = (share) => (Math.floor(share * 1000) / 10).toFixed(1) + " %";

function showMeters(probabilities) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  meters.forEach((meter, index) => {
    const share = probabilities[index];
    meter.setAttribute("aria-valuenow", share.toFixed(6));
    meter.setAttribute("aria-valuetext", percent(share));
    meter.style.setProperty("--share", share);
    meter.classList.toggle("best", index === best && share > 0);
    meter.querySelector(".percent").textContent = percent(share);
  });
}

function showPixels(pixels) {
  const { width, height } = picture.canvas;
  const channels = pixels.length / (width * height);
  const image = picture.createImageData(width, height);
  for (let place = 0; place < width * height; place++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[4 * place + channel] = pixels[channels * place + (channel % channels)];
    }
    image.data[4 * place + 3] = 255;
  }
  picture.putImageData(image, 0, 0);
}

function showNothing() {
  answerSection.dataset.verdict = "empty";
  part("label").textContent = "";
  part("share").textContent = "";
  part("words").textContent = props.invitation;
  part("note").textContent = captionAtRest;
  part("time").textContent = "";
  showMeters(meters.map(() => 0));
  picture.clearRect(0, 0, picture.canvas.width, picture.canvas.height);
}

function show(answer) {
  if (!answer) return showNothing();
  showMeters(answer.probabilities);
  showPixels(answer.pixels);
  answerSection.dataset.verdict = answer.verdict;
  part("label").textContent = answer.label;
  part("share").textContent = answer.label ? percent(Math.max(...answer.probabilities)) : "";
  part("words").textContent = answer.words;
  part("network").textContent = answer.source;
  if (answer.note) part("note").textContent = answer.note;
}

// A prediction of inference.js as `show` wants it.
function describe({ probabilities, verdict, pixels }, source) {
  const ranked = probabilities.map((_, index) => index).sort((a, b) => probabilities[b] - probabilities[a]);
  const [label, second] = ranked.map((index) => props.classes[index]);
  const words = {
    blank: "There is nothing to see yet.",
    out_of_distribution: `None of the ten, it seems. Nearest: ${label}.`,
    uncertain: `unsure, perhaps ${second}`,
    confident: "sure",
  };
  const known = verdict === "confident" || verdict === "uncertain";
  return {
    ...{ probabilities, verdict, source, label: known ? label : "", words: words[verdict] },
    pixels: Array.from(pixels, (value) => Math.round(255 * value)),
  };
}
