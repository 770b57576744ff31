// Follows prediction.js: each value that Python sends is a prediction, or null for an empty frame.

const column = element.closest(".input");
const examples = () => [...column.querySelectorAll("#examples img")];
const exampleName = (image) => decodeURIComponent(image.src.split("/").pop()).split(".")[0];
let answered = false;

watch("value", () => {
  answered = Boolean(props.value);
  show(props.value);
});

// Gradio gives its thumbnails no names, and its frame another one than is written in it.
function name() {
  for (const image of examples()) image.alt ||= exampleName(image);
  for (const frame of column.querySelectorAll(".frame button[aria-label^='Drop']")) {
    frame.removeAttribute("aria-label");
  }
}

new MutationObserver(name).observe(column, { childList: true, subtree: true });
name();

column.addEventListener("click", (event) => {
  const image = event.target.closest(".gallery-item")?.querySelector("img");
  if (image) cnn.setAddress({ example: exampleName(image) });
});

// A file of one's own takes the example's place in the address.
column.addEventListener("change", (event) => {
  if (event.target.type === "file") cnn.setAddress({ example: "" });
});

// The tab opens with an example; when it comes back what stands in it is the page's subject again.
function open() {
  cnn.changed();
  if (answered) return trigger("refresh");
  const wanted = cnn.parameter("example") || props.initial;
  const image = examples().find((one) => exampleName(one) === wanted) || examples()[0];
  image ? image.closest(".gallery-item").click() : trigger("refresh");
}

addEventListener("inputchange", ({ detail }) => detail === "photo" && open());
addEventListener("tabchange", () => answered && column.offsetParent && trigger("refresh"));

// An image that is pasted anywhere on the tab is the photograph.
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files || [])].find(({ type }) => type.startsWith("image/"));
  const upload = column.querySelector(".frame input[type=file]");
  if (!file || !upload || !column.offsetParent) return;
  event.preventDefault();
  event.stopPropagation();
  const transfer = new DataTransfer();
  transfer.items.add(file);
  upload.files = transfer.files;
  upload.dispatchEvent(new Event("change", { bubbles: true }));
}, true);
