// Follows follow.js: a press on a row chooses its network.

element.addEventListener("click", (event) => {
  const picked = event.target.closest("[data-pick]");
  if (!picked || picked.getAttribute("aria-pressed") === "true") return;
  cnn.changed();
  trigger("select", { value: picked.dataset.pick, version: cnn.version });
});
