// Follows follow.js: shows the selected map, and moves the frame to where the input or the map is pressed.

details = () => cnn.selection || {};
addEventListener("selectionchange", () => follow(true));

element.addEventListener("click", (event) => {
  const image = event.target.closest("img[data-rows]");
  if (!image) return;
  const box = image.getBoundingClientRect();
  const { rows, columns, step, top, left } = Object.fromEntries(Object.entries(image.dataset).map(([name, value]) => [name, Number(value)]));
  const place = (share, count, edge) => Math.max(0, Math.floor((Math.floor(share * count) + edge) / step));
  cnn.select({
    ...cnn.selection,
    row: place((event.clientY - box.top) / box.height, rows, top),
    column: place((event.clientX - box.left) / box.width, columns, left),
  }, false);
});
