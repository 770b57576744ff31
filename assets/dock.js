// In the page's head: which tab and input are shown, the version of what the page looks at, and the
// address. Whatever is derived from an input carries `data-version`; a view of another version than
// the current one is dimmed until its own comes.

const cnn = { version: 1, ready: false };

// Resolved once this page has its visitor's session (session_token.js).
cnn.session = new Promise((resolve) => (cnn.sessionResumed = resolve));

function markStale() {
  document.querySelectorAll("[data-version]").forEach((view) => {
    view.classList.toggle("stale", Number(view.dataset.version) !== cnn.version);
  });
}

// The input or the network has changed: nothing on the page is about it yet.
cnn.changed = () => {
  cnn.version++;
  cnn.ready = false;
  markStale();
};

// The server knows the new input.
cnn.settled = () => {
  cnn.ready = true;
  dispatchEvent(new Event("subjectchange"));
};

// ---- questions to Python ---------------------------------------------------------------------------

// One at a time of a kind; of those that come meanwhile the last is sent then. Gradio's own
// "always_last" would send the first one's data again.
const waiting = new Map(); // by the kind of a question under way: the next one

cnn.ask = (kind, send) => {
  if (waiting.has(kind)) return waiting.set(kind, send);
  waiting.set(kind, null);
  send();
};

cnn.answered = (kind) => {
  const send = waiting.get(kind);
  waiting.delete(kind);
  if (send) cnn.ask(kind, send);
};

// A run is under way: it ends when the page is closed.
cnn.setTraining = (isTraining) => document.documentElement.classList.toggle("training", isTraining);

addEventListener("beforeunload", (event) => {
  if (document.documentElement.classList.contains("training")) event.preventDefault();
});

// ---- the address: tab, section, networks, layer, map, class, temperature, example -----------------------

cnn.parameter = (name) => new URLSearchParams(location.search).get(name) || "";

cnn.setAddress = (values, push = true) => {
  const query = new URLSearchParams(location.search);
  Object.entries(values).forEach(([name, value]) => (value === "" || value == null ? query.delete(name) : query.set(name, value)));
  const address = `${location.pathname}?${query}`;
  if (address === location.pathname + location.search) return;
  history[push ? "pushState" : "replaceState"](null, "", address);
};

// The network in use for drawings (strokes) and for photographs: each that the visitor chooses, and not
// the page by itself when it is loaded, is a step of the history.
cnn.networks = {};
cnn.NETWORK_PARAMETERS = { strokes: "network", photo: "photo_network" };

cnn.useNetwork = (input, name) => {
  const parameter = cnn.NETWORK_PARAMETERS[input];
  const last = cnn.networks[input];
  cnn.networks[input] = name;
  if (!last || !navigator.userActivation.hasBeenActive || [last, cnn.parameter(parameter)].includes(name)) return;
  if (!cnn.parameter(parameter)) cnn.setAddress({ [parameter]: last }, false);
  cnn.setAddress({ [parameter]: name });
};

// ---- the tab and the input that stand in the dock ------------------------------------------------

const tabButtons = () => [...document.querySelectorAll("[role=tab]")];
const tabName = (button) => button.textContent.trim().toLowerCase();

cnn.openTab = (name) => {
  const button = tabButtons().find((one) => tabName(one) === name);
  if (button && button.getAttribute("aria-selected") !== "true") button.click();
};

// The section of Inside that is shown.
cnn.openSection = (name, push = true) => {
  document.querySelector(".page-grid").dataset.section = name;
  if (push) cnn.setAddress({ section: name });
  dispatchEvent(new Event("sectionchange"));
};

cnn.showInput = (input) => {
  const page = document.querySelector(".page-grid");
  if (!page || page.dataset.input === input) return;
  const isFirst = !page.dataset.input;
  page.dataset.input = input;
  if (!isFirst || input !== "strokes") dispatchEvent(new CustomEvent("inputchange", { detail: input }));
};

addEventListener("click", (event) => {
  const input = event.target.closest("[data-show-input]");
  if (input) cnn.showInput(input.dataset.showInput);
  const section = event.target.closest("button[data-section]");
  if (section) cnn.openSection(section.dataset.section);
});

function followTab() {
  const page = document.querySelector(".page-grid");
  const selected = tabButtons().find((button) => button.getAttribute("aria-selected") === "true");
  if (!page || !selected || page.dataset.tab === tabName(selected)) return;
  const isFirst = !page.dataset.tab;
  if (isFirst) cnn.openSection(cnn.parameter("section") || "layers", false);
  page.dataset.tab = tabName(selected);
  if (page.dataset.tab === "draw" && page.dataset.input !== "sheet") cnn.showInput("strokes");
  if (page.dataset.tab === "photo") cnn.showInput("photo");
  if (!page.dataset.input) cnn.showInput(cnn.parameter("example") ? "photo" : "strokes");
  if (!isFirst && !cnn.goingBack) cnn.setAddress({ tab: page.dataset.tab });
  cnn.goingBack = false;
  dispatchEvent(new Event("tabchange"));
}

addEventListener("popstate", () => {
  const name = cnn.parameter("tab") || "draw";
  const page = document.querySelector(".page-grid");
  cnn.goingBack = Boolean(page) && page.dataset.tab !== name;
  cnn.openTab(name);
  cnn.openSection(cnn.parameter("section") || "layers", false);
  dispatchEvent(new Event("addresschange"));
});

addEventListener("keydown", (event) => {
  const at = tabButtons().indexOf(event.target);
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (at < 0 || !step) return;
  const buttons = tabButtons();
  const next = buttons[(at + step + buttons.length) % buttons.length];
  next.click();
  next.focus();
});

function start() {
  if (new URLSearchParams(location.search).has("present")) document.documentElement.classList.add("present");
  new MutationObserver(() => {
    followTab();
    markStale();
  }).observe(document.body, { subtree: true, childList: true, attributeFilter: ["aria-selected", "data-version"] });
  followTab();
}

document.readyState === "loading" ? addEventListener("DOMContentLoaded", start) : start();
