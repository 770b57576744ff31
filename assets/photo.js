// Follows prediction.js: each value that Python sends is a prediction, or null for an empty frame.

const column = element.closest(".input");
const examples = () => [...column.querySelectorAll("#examples img")];
const exampleName = (image) => decodeURIComponent(image.src.split("/").pop()).split(".")[0];
let answered = false;
let opening = false; // the first example is on its way
let waiting = null; // a file that came before it
let given = false; // a file came, perhaps before the tab asked for the example

watch("value", () => {
  opening = false;
  if (waiting) give(waiting);
  const { error } = props.value || {};
  answered = Boolean(props.value);
  if (props.value?.network) cnn.useNetwork("photo", props.value.network);
  show(error ? null : props.value);
  if (error) part("words").textContent = error;
  preview();
});

// What no browser shows, TIFF and HEIC, the server has made a JPEG of.
function preview() {
  const image = column.querySelector(".frame img");
  const source = props.value?.preview;
  if (source && image && image.complete && !image.naturalWidth) image.src = source;
}

column.addEventListener("error", preview, true);

// Gradio says nothing where there is no camera.
const camera = element.querySelector(".camera-note");
column.addEventListener("click", () => (camera.textContent = ""), true);
addEventListener("unhandledrejection", ({ reason }) => {
  const words = {
    NotFoundError: "There is no camera on this device, it seems. Choose a file.",
    NotAllowedError: "The browser may not use the camera. Allow it beside the address, or choose a file.",
    NotReadableError: "Another program uses the camera. Close it, or choose a file.",
  }[reason?.name];
  if (words && column.offsetParent) camera.textContent = words;
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

// A file of one's own takes the example's place in the address. While the example is on its way the
// file waits: what comes last is shown.
column.addEventListener("change", (event) => {
  if (event.target.type !== "file") return;
  cnn.setAddress({ example: "" });
  given = true;
  if (!opening) return;
  waiting = event.target.files[0];
  event.stopPropagation();
}, true);

function give(file) {
  waiting = null;
  const upload = column.querySelector(".frame input[type=file]");
  const transfer = new DataTransfer();
  transfer.items.add(file);
  upload.files = transfer.files;
  upload.dispatchEvent(new Event("change", { bubbles: true }));
}

// The tab opens with an example; when it comes back what stands in it is the page's subject again.
function open() {
  cnn.changed();
  if (answered) return trigger("refresh");
  if (given) return;
  const wanted = cnn.parameter("example") || props.initial;
  const image = examples().find((one) => exampleName(one) === wanted) || examples()[0];
  opening = Boolean(image);
  image ? image.closest(".gallery-item").click() : trigger("refresh");
}

addEventListener("inputchange", ({ detail }) => detail === "photo" && open());
for (const event of ["tabchange", "linkopened"]) {
  addEventListener(event, () => answered && column.offsetParent && trigger("refresh"));
}

// An image that is pasted anywhere on the tab is the photograph.
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files || [])].find(({ type }) => type.startsWith("image/"));
  if (!file || !column.offsetParent) return;
  event.preventDefault();
  event.stopPropagation();
  give(file);
}, true);
