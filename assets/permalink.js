// Copies the address of what is seen, and asks Python to restore what this page's address describes.

const status = element.querySelector("[role=status]");
const SHOWN_FOR = 3000;
const [tab, network, drawing] = ["tab", "network", "drawing"].map(cnn.parameter);

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
  cnn.setAddress({ network: "", drawing: "", ...restored, example, tab: page.dataset.tab }, false);
  try {
    await navigator.clipboard.writeText(location.href);
    say(example ? copied.replace(/, without the image\.| and the image/, ".").replace("..", ".") : copied);
  } catch {
    say("It stands in the address bar.");
  }
});

// The pad shows the shared drawing by itself, and must hear of the shared network.
watch("opened", () => dispatchEvent(new Event("linkopened")));
if (tab || network || drawing) cnn.session.then(() => trigger("restore", { tab, network, drawing }));
