// Fills in the examples of the run that the status describes.

element.addEventListener("click", (event) => {
  const help = document.getElementById(event.target.getAttribute("popovertarget"));
  if (!help) return;
  const text = document.querySelector(".run-status").dataset[help.id.replace("explain-", "")];
  help.querySelector(".example").hidden = !text;
  help.querySelector(".example span").textContent = text;
});
