// Follows maps.js: shows the maps that the server computed, a byte for each value.

function showLevels() {
  const strip = element.querySelector("[data-layers]");
  if (!strip) return;
  const layers = JSON.parse(strip.dataset.layers).map(([name, shape, levels]) => ({
    ...{ name, shape, type: SHOWN[0] },
    values: Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0)),
  }));
  showMaps({ detail: { layers } });
}

watch("value", showLevels);
showLevels();
