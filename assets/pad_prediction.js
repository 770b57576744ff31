// Follows pad.js: who predicts, a network in this browser or the server, and what it says.

// ---- a network in this browser: until it is loaded, and where it cannot be, the server predicts ----

let network = null;
let loading = null; // which network is loaded or on its way

function use(loaded) {
  if (network) network.stop();
  network = loaded;
  element.dataset.inference = loaded ? "browser" : "server";
}

async function loadNetwork() {
  const wanted = JSON.stringify(props.network);
  if (!props.browser_inference || wanted === loading) return;
  loading = wanted;
  use(null);
  try {
    const { script, file, source, error } = await server.web_model(props.token);
    if (error) throw new Error(error);
    const loaded = await startNetwork(script, fromBase64(file));
    if (wanted !== loading) return loaded.stop();
    use({ ...loaded, source });
  } catch (error) {
    console.info("The server predicts:", error.message);
  }
}

async function predict() {
  if (network) {
    try {
      const { version } = cnn;
      const prediction = await network.predict(strokes);
      const detail = { ...prediction, network: network.header };
      cnn.activations = { ...detail, version };
      setTimeout(() => dispatchEvent(new CustomEvent("activations", { detail }))); // the bars come first
      return describe(prediction, network.source);
    } catch {
      use(null);
    }
  }
  return askServer({ token: props.token, strokes, final: resting() });
}

async function askServer(question) {
  const response = await fetch(`${window.gradio_config.root}/predictions/drawing`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(question),
  });
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}

// ---- what the network says: one request at a time, the newest drawing wins -------------

let asking = false;
let unanswered = false;
let lifted = false;
let wake = () => {};

function pause(milliseconds) {
  return new Promise((resume) => {
    wake = resume;
    setTimeout(resume, milliseconds);
  });
}

const resting = () => pointer === null && !writing;

// Who listens hears the answer to what is finished, not each one on the way to it.
function announce() {
  if (resting() && !asking) headline.removeAttribute("aria-busy");
}

// While it is written on it rests as long as the last answer took, so that a server with much to
// do is asked less. Where many draw at once the server leaves out what is asked meanwhile.
async function ask() {
  unanswered = true;
  if (resting()) wake();
  if (asking) return;
  asking = true;
  headline.setAttribute("aria-busy", "true");
  while (unanswered) {
    unanswered = false;
    const start = performance.now();
    try {
      const answer = await predict();
      if (answer.busy) {
        part("words").textContent = "Many are drawing just now. Lift the pen to be answered.";
        if (!resting()) await pause(BUSY_FOR);
        unanswered = strokes.length > 0;
      } else if (strokes.length) {
        const took = performance.now() - start;
        hear(answer, took);
        if (!resting() && !network) await pause(Math.max(took, SHORTEST_INTERVAL - took));
      }
    } catch {
      part("words").textContent = "The server does not answer. It is asked again in a moment.";
      await pause(RETRY_AFTER);
      unanswered = strokes.length > 0;
    }
  }
  asking = false;
  announce();
  if (lifted) settled();
  lifted = false;
}

function hear(answer, milliseconds) {
  if (answer.error) {
    showNothing();
    part("words").textContent = answer.error;
    lifted = false;
    return;
  }
  show(answer);
  part("time").textContent = Math.max(1, Math.round(milliseconds)) + " ms";
}
