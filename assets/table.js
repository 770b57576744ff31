// Tells Python which part of a view was clicked, and sorts its table by the column whose head is.

const heads = () => [...element.querySelectorAll("thead th")];
let sorted = null;

// Blanks come last either way.
function compare(one, other, down) {
  if (!one || !other) return !one - !other;
  const [a, b] = [Number(one), Number(other)];
  return (down ? -1 : 1) * (isNaN(a) || isNaN(b) ? one.localeCompare(other) : a - b);
}

function sort(column, down) {
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const rows = [...element.querySelectorAll("tbody tr")];
  rows.sort((a, b) => compare(value(a), value(b), down));
  element.querySelector("tbody").append(...rows);
  heads().forEach((head, index) => {
    if (index === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  sorted = [column, down];
}

element.addEventListener("click", (event) => {
  const picked = event.target.closest("[data-pick]");
  if (picked) return trigger("select", { value: picked.dataset.pick });
  const head = event.target.closest("thead th");
  if (head) sort(head.cellIndex, head.getAttribute("aria-sort") === "ascending");
});

watch("value", () => sorted && sort(...sorted));
