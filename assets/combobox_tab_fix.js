// Gradio opens a list of choices at each key, a moment after it was pressed: at Tab that is when the
// list was left, and nothing closes it any more.
addEventListener(
  "keydown",
  (event) => {
    if (event.key === "Tab" && event.target.role === "combobox") event.stopImmediatePropagation();
  },
  true,
);
