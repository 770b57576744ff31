// Asks Python to show the current subject once the element is on the screen and what it shows is older.
// `details` may add what else Python should know.

let asked = 0;
let onScreen = false;
let details = () => ({});

function follow(again = false) {
  if (again === true) asked = 0;
  if (!element.isConnected || !onScreen || !cnn.ready || asked === cnn.version) return;
  cnn.ask(props.kind, send);
}

// Where the input has changed meanwhile, `subjectchange` asks about the new one.
function send() {
  if (!cnn.ready) return cnn.answered(props.kind);
  asked = cnn.version;
  trigger("follow", { version: cnn.version, ...details() });
}

new IntersectionObserver((entries) => {
  onScreen = entries[entries.length - 1].isIntersecting;
  follow();
}, { rootMargin: "100px" }).observe(element);
addEventListener("subjectchange", follow);
