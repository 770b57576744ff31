// Keeps the session's token in this browser, and gives it back when the page is loaded again.

const KEY = "cnn-session";

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage is blocked
  }
}

function store(token) {
  try {
    localStorage.setItem(KEY, token);
  } catch {
    element.querySelector(".unsaved").hidden = false;
  }
}

watch("token", () => {
  store(props.token);
  cnn.sessionResumed();
  if (props.has_content) trigger("restore");
  if (props.is_training) trigger("resume_training");
});
trigger("resume", { token: stored() });
