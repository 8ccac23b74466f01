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

const lineOf = about => String(about[0]).match(/<b>(.*?)<\/b>/)[1];

function keepPoints(trace, lines) {
  const own = trace.customdata || [];
  const kept = own.map((about, i) => [lineOf(about), i]).filter(([line]) => lines.has(line));
  if (!own.length) return {};
  const pick = values => kept.map(([, i]) => values[i]);
  const y = kept.map(([line, i]) => trace.y[i] - drawn.lines.get(line) + lines.get(line));
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

// one panel of lines per unit, as figures/forests.py lays them out
function drawForest(claims) {
  if (!forest || !forest.data) return;
  if (!drawn) {
    const layout = JSON.parse(JSON.stringify(forest.layout)), labels = new Map(), lines = new Map();
    for (const panel of layout.meta.panels)
      panel.lines.forEach(([line], i) => { lines.set(line, -i); labels.set(line, layout[panel.y].ticktext[i]); });
    drawn = { data: forest.data.map(plainArrays), layout, lines, labels };
  }
  const { panels, line, below } = drawn.layout.meta, shown = new Set(claims), lines = new Map();
  const layout = JSON.parse(JSON.stringify(drawn.layout));
  const kept = panels.map(panel => panel.lines.filter(([, claim]) => shown.has(claim)).map(([name]) => name));
  const filled = kept.filter(names => names.length).length;
  const height = Math.max(line, kept.flat().length * line + below * (filled - 1));
  let above = 0;
  panels.forEach((panel, i) => {
    const names = kept[i], tall = names.length * line;
    names.forEach((name, at) => lines.set(name, -at));
    const domain = names.length ? [1 - (above + tall) / height, 1 - above / height] : [0, 0.001];
    Object.assign(layout[panel.y], { domain: domain.map(x => Math.min(1, Math.max(0, x))), range: [-Math.max(1, names.length) + 0.4, 0.6],
      autorange: false, tickvals: names.map(n => lines.get(n)), ticktext: names.map(n => drawn.labels.get(n)), visible: names.length > 0 });
    layout[panel.x].visible = names.length > 0 && drawn.layout[panel.x].visible !== false;
    if (names.length) above += tall + below;
  });
  const data = drawn.data.map(trace => ({ ...trace, ...keepPoints(trace, lines) }));
  layout.height = height + layout.margin.t + layout.margin.b;
  layout.legend.y = -below / height;
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
    const line = lineOf(event.points[0].customdata);
    const claim = forest.layout.meta.panels.flatMap(panel => panel.lines).find(([name]) => name === line)[1];
    location.href = rows.find(row => row.dataset.claim === claim).querySelector("a").href;
  }));
}
for (const [event, size] of [["beforeprint", { width: 700 }], ["afterprint", { width: null, autosize: true }]])
  addEventListener(event, () => document.querySelectorAll(".js-plotly-plot").forEach(plot => Plotly.relayout(plot, size)));
