// Writes the probabilities of all classes as percentages that sum to 100, as cnn/evaluation/percentages.py does:
// what rounding down leaves over goes to the largest remainders; no class is impossible or certain.
function percentages(probabilities) {
  const exact = probabilities.map((probability) => 1000 * probability);
  const units = exact.map(Math.floor);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const missing = Math.round(sum(exact)) - sum(units);
  const byRemainder = exact.map((_, index) => index).sort((a, b) => units[a] - exact[a] - (units[b] - exact[b]));
  byRemainder.slice(0, missing).forEach((index) => units[index]++);
  const ends = exact.some(Boolean) ? { 0: "<\u00a00.1\u00a0%", 1000: ">\u00a099.9\u00a0%" } : {};
  return units.map((value) => ends[value] || (value / 10).toFixed(1) + "\u00a0%");
}
