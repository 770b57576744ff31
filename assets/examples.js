// Keeps the drawing on the pad as an example of the digit that is pressed.

const note = element.querySelector(".kept-now");
let pressed = "";

// The server keeps the drawing that it knows: it may not have the last stroke yet.
const whenSettled = (action) => (cnn.ready ? action() : addEventListener("subjectchange", action, { once: true }));

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-label]");
  if (!button) return;
  pressed = button.dataset.label;
  whenSettled(() => trigger("keep", { label: pressed }));
});

addEventListener("drawingkept", () => (note.textContent = `Kept as ${pressed}.`));

// It is about the drawing that was kept, not about the next one.
addEventListener("pointerdown", ({ target }) => target.matches?.("canvas.pad") && (note.textContent = ""));
