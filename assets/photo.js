// Follows answer.js: each value that Python sends is an answer, or null for an empty frame.

watch("value", () => show(props.value));

// Gradio gives its thumbnails no names, and its frame another one than is written in it.
const bench = element.closest(".bench");

function name() {
  for (const picture of bench.querySelectorAll("#examples img:not([alt]), #examples img[alt='']")) {
    picture.alt = picture.src.split("/").pop().split(".")[0];
  }
  for (const frame of bench.querySelectorAll(".frame button[aria-label^='Drop']")) {
    frame.removeAttribute("aria-label");
  }
}

new MutationObserver(name).observe(bench, { childList: true, subtree: true });
name();
