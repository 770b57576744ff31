// Marks the section of the tab that is shown; dock.js shows it and keeps it in the address.

function mark() {
  if (!element.isConnected) return removeEventListener("sectionchange", mark);
  const { section } = document.querySelector(".page-grid").dataset;
  element.querySelectorAll("[data-section]").forEach((button) => {
    button.setAttribute("aria-current", String(button.dataset.section === section));
  });
}

addEventListener("sectionchange", mark);
mark();
