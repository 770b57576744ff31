// Copies the address of what is seen, and asks for what the address of this page leads to.

const status = element.querySelector("[role=status]");
const selected = () => document.querySelector("[role=tab][aria-selected=true]");
const asked = new URLSearchParams(location.search);
const [tab, network, drawing] = ["tab", "network", "drawing"].map((name) => asked.get(name) || "");

element.querySelector("button").addEventListener("click", () => trigger("click"));

watch("value", async () => {
  const name = selected().textContent.trim().toLowerCase();
  const address = `${location.origin}${location.pathname}?tab=${name}&${props.value.query}`;
  history.replaceState(null, "", address);
  try {
    await navigator.clipboard.writeText(address);
    status.textContent = "Copied.";
  } catch {
    status.textContent = "It stands in the address bar.";
  }
});

// The pad shows the shared drawing by itself, and must hear of the shared network.
watch("opened", () => dispatchEvent(new Event("opened")));
if (tab || network || drawing) trigger("arrive", { tab, network, drawing });
