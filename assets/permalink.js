// Copies the address of what is seen, and asks Python to restore what this page's address describes.

const status = element.querySelector("[role=status]");
const SHOWN_FOR = 3000;
const [tab, drawing] = ["tab", "drawing"].map(cnn.parameter);
const parameters = Object.entries(cnn.NETWORK_PARAMETERS);

let hiding;
function say(words) {
  status.textContent = words;
  clearTimeout(hiding);
  hiding = setTimeout(() => (status.textContent = ""), SHOWN_FOR);
}

element.querySelector("button").addEventListener("click", () => trigger("click"));

watch("value", async () => {
  const { query, copied } = props.value;
  const page = document.querySelector(".page-grid");
  const restored = Object.fromEntries(new URLSearchParams(query));
  const example = page.dataset.input === "photo" ? cnn.parameter("example") : "";
  cnn.setAddress({ network: "", photo_network: "", drawing: "", ...restored, example, tab: page.dataset.tab }, false);
  try {
    await navigator.clipboard.writeText(location.href);
    say(example ? copied.replace(/, without the image\.| and the image/, ".").replace("..", ".") : copied);
  } catch {
    say("It stands in the address bar.");
  }
});

// The pad shows the shared drawing by itself, and must hear of the shared network.
watch("opened", () => dispatchEvent(new Event("linkopened")));
const linked = parameters.map(([, parameter]) => cnn.parameter(parameter)).filter(Boolean);
if (tab || drawing || linked.length) cnn.session.then(() => trigger("restore", { tab, networks: linked, drawing }));

// Back and forward: networks that the address has and the page does not use.
addEventListener("addresschange", () => {
  const others = parameters
    .map(([input, parameter]) => [cnn.networks[input], cnn.parameter(parameter)])
    .filter(([used, wanted]) => used && wanted && used !== wanted);
  if (others.length) trigger("restore", { tab: "", networks: others.map(([, wanted]) => wanted), drawing: "" });
});
