// Filters of the ledger: the table and the forest plot show the same claims. Plots follow the paper when printed.
"use strict";
// a figure is data beside its place: no page has a script of its own
for (const data of document.querySelectorAll("script[type='application/json'].wb-figure")) {
  const figure = JSON.parse(data.textContent), place = data.previousElementSibling;
  Plotly.newPlot(place, figure.data, figure.layout, figure.config).then(() => figure.frames && Plotly.addFrames(place, figure.frames));
}
const selects = [...document.querySelectorAll(".filters select")];
const search = document.querySelector(".filters input");
const rows = [...document.querySelectorAll("tr[data-claim]")];
const forest = document.getElementById("forest");
let drawn = null; // the forest as it was first drawn

function wanted(row) {
  const [log, model, verdict] = ["log", "model", "verdict"].map(name => selects.find(s => s.name === name).value);
  const text = search.value.trim().toLowerCase();
  const pairs = JSON.parse(row.dataset.verdicts);
  return (!log || row.dataset.log === log) && (!text || row.textContent.toLowerCase().includes(text)) &&
    pairs.some(([on, outcome]) => (!model || on === model) && (!verdict || outcome === verdict));
}

function keepPoints(trace, lines) {
  const own = trace.customdata || [];
  const kept = own.map((about, i) => [String(about[0]).match(/<b>(.*?)<\/b>/)[1], i]).filter(([claim]) => lines.has(claim));
  if (!own.length) return {};
  const pick = values => kept.map(([, i]) => values[i]);
  const y = kept.map(([claim, i]) => trace.y[i] - drawn.lines.get(claim) + lines.get(claim));
  const bars = trace.error_x && trace.error_x.array ?
    { error_x: { ...trace.error_x, array: pick(trace.error_x.array), arrayminus: pick(trace.error_x.arrayminus) } } : {};
  return { x: pick(trace.x), y, customdata: pick(own), ...bars };
}

// plotly keeps numbers packed in what it was given, and plain in what it made of that
function plainArrays(trace, i) {
  const made = forest._fullData[i], bars = made.error_x;
  const error_x = bars && bars.array ? { ...trace.error_x, array: [...bars.array], arrayminus: [...bars.arrayminus] } : undefined;
  return { ...trace, x: [...made.x], y: [...made.y], customdata: made.customdata && [...made.customdata], error_x };
}

function drawForest(claims) {
  if (!forest || !forest.data) return;
  if (!drawn) {
    const data = forest.data.map(plainArrays);
    const layout = JSON.parse(JSON.stringify(forest.layout));
    const all = rows.map(row => row.dataset.claim);
    drawn = { data, layout, lines: new Map(all.map((claim, i) => [claim, -i])), labels: new Map(all.map((claim, i) => [claim, layout.yaxis.ticktext[i]])) };
  }
  const lines = new Map(claims.map((claim, i) => [claim, -i]));
  const data = drawn.data.map(trace => ({ ...trace, ...keepPoints(trace, lines) }));
  const panel = drawn.layout.height - drawn.layout.margin.t - drawn.layout.margin.b;
  const height = Math.max(1, claims.length) * panel / rows.length;
  const layout = JSON.parse(JSON.stringify(drawn.layout));
  Object.assign(layout.yaxis, { range: [-Math.max(1, claims.length) + 0.4, 0.6], autorange: false, tickvals: claims.map(c => lines.get(c)), ticktext: claims.map(c => drawn.labels.get(c)) });
  layout.height = height + layout.margin.t + layout.margin.b;
  layout.legend.y = drawn.layout.legend.y * panel / height;
  forest.style.height = `${layout.height}px`;
  Plotly.react(forest, data, layout);
}

function apply() {
  const shown = rows.filter(row => { row.hidden = !wanted(row); return !row.hidden; });
  document.getElementById("shown").textContent = `${shown.length} of ${rows.length} claims shown`;
  drawForest(shown.map(row => row.dataset.claim));
}

if (selects.length) {
  selects.forEach(select => select.addEventListener("change", apply));
  search.addEventListener("input", apply);
  const form = document.querySelector(".filters form, form.filters");
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", event => event.preventDefault());
  if (selects.some(select => select.value) || search.value) addEventListener("load", apply);
  if (forest) addEventListener("load", () => forest.on("plotly_click", event => {
    const claim = String(event.points[0].customdata[0]).match(/<b>(.*?)<\/b>/)[1];
    location.href = rows.find(row => row.dataset.claim === claim).querySelector("a").href;
  }));
}
for (const [event, size] of [["beforeprint", { width: 700 }], ["afterprint", { width: null, autosize: true }]])
  addEventListener(event, () => document.querySelectorAll(".js-plotly-plot").forEach(plot => Plotly.relayout(plot, size)));
