// Copies the address of what is seen, and asks for what the address of this page leads to.

const status = element.querySelector("[role=status]");
const selected = () => document.querySelector("[role=tab][aria-selected=true]");
const SHOWN_FOR = 3000;
const asked = new URLSearchParams(location.search);
const [tab, network, drawing] = ["tab", "network", "drawing"].map((name) => asked.get(name) || "");

let hiding;
function say(words) {
  status.textContent = words;
  clearTimeout(hiding);
  hiding = setTimeout(() => (status.textContent = ""), SHOWN_FOR);
}

element.querySelector("button").addEventListener("click", () => trigger("click"));

watch("value", async () => {
  const name = selected().textContent.trim().toLowerCase();
  const address = `${location.origin}${location.pathname}?tab=${name}&${props.value.query}`;
  history.replaceState(null, "", address);
  try {
    await navigator.clipboard.writeText(address);
    say(props.value.copied);
  } catch {
    say("It stands in the address bar.");
  }
});

// The pad shows the shared drawing by itself, and must hear of the shared network.
watch("opened", () => dispatchEvent(new Event("opened")));
if (tab || network || drawing) trigger("arrive", { tab, network, drawing });
