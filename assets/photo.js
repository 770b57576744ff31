// Follows answer.js: each value that Python sends is an answer, or null for an empty frame.

watch("value", () => show(props.value));
