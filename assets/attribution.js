// Follows follow.js: another class for the second row.

details = () => ({ label: cnn.parameter("class") });
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-class]");
  if (!button) return;
  cnn.setAddress({ class: button.dataset.class });
  follow(true);
});
addEventListener("addresschange", () => follow(true));
