// What every chart of curves can do, over uPlot: zoom by dragging and by keys, smoothing, a logarithmic axis, hover values,
// a picture and a table of it, and the page's colours in both themes. Subclasses say which lines there are (`lines`), how far
// the axis goes (`extent`) and where the points come from (`load`, `refine`). The plot reads left to right in every language.
import uPlot from "../vendor/uplot.js";
import { reading, short } from "./words.js";

const HEIGHT = 300;
const AXIS_WIDTH = 52;
const SMOOTH_FROM = 24;
const TABLE_ROWS = 40;
const REFINE_MS = 250;
const DASHES = [[], [7, 4], [2, 4], [10, 3, 2, 3]];

export class CurveChart extends HTMLElement {
  async connectedCallback() {
    this.config = JSON.parse(this.querySelector("script[type='application/json']").textContent);
    this.plot = this.querySelector(".uplot-place");
    this.group = this.config.groups[0];
    this.keep = Number(this.find("[data-smooth]")?.value ?? 90) / 100;
    this.colours = new Map();
    this.view = null;
    this.prepare();
    this.listen();
    await this.open();
  }

  // Until the points are there the place of the plot keeps its size and shows a skeleton.
  async open() {
    this.setAttribute("aria-busy", "true");
    delete this.dataset.lost;
    await Promise.all([this.load(), document.fonts?.ready]); // the axes are written in the page's font
    this.loaded = true;
    this.removeAttribute("aria-busy");
    this.draw(true);
  }

  find(selector) {
    return this.querySelector(selector);
  }

  listen() {
    const on = (selector, kind, act) => this.querySelectorAll(selector).forEach((part) => part.addEventListener(kind, act));
    on("[data-group]", "click", (event) => this.show(event.currentTarget));
    on("[data-smooth]", "input", (event) => this.smoothBy(Number(event.target.value) / 100));
    on("[data-log]", "change", () => this.draw(true));
    on("[data-whole]", "click", () => this.zoom(null));
    on("[data-png]", "click", () => this.savePicture());
    on("[data-again]", "click", () => this.open());
    on("[data-table]", "toggle", () => this.table());
    this.plot.addEventListener("dblclick", () => setTimeout(() => this.zoom(null)));
    this.plot.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe(this.plot);
    new MutationObserver(() => this.draw(true)).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    for (const look of ["(prefers-color-scheme: dark)", "print"]) matchMedia(look).addEventListener("change", () => this.draw(true));
  }

  // For subclasses. lines: [{key, label, colour, points: Map(x → value), noisy, sparse}].
  prepare() {}
  async load() {}
  async refine() {}
  marks() {}
  csv() {
    return null;
  }
  position(x) {
    return short(x);
  }
  // As `position`, for reading.
  place(x) {
    return reading(x);
  }

  soon() {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.draw(false);
    }, 200);
  }

  show(button) {
    for (const other of this.querySelectorAll("[data-group]")) other.setAttribute("aria-pressed", other === button);
    this.group = this.config.groups.find((group) => group.key === button.dataset.group);
    this.draw(true);
  }

  smoothBy(keep) {
    this.keep = keep;
    this.draw(true);
  }

  get logarithmic() {
    return this.find("[data-log]")?.checked ?? false;
  }

  // Columns for uPlot: all places of the shown lines, then each line, and once more over those the noisy ones, smoothed, and the sparse
  // ones, which would lie under them.
  columns() {
    const shown = this.lines().filter((line) => line.points.size);
    const places = [...new Set(shown.flatMap((line) => [...line.points.keys()]))].sort((a, b) => a - b);
    const kept = (value) => (this.logarithmic && value <= 0 ? null : value);
    const values = shown.map((line) => places.map((place) => kept(line.points.get(place))));
    const over = shown.map((line, index) => (line.noisy && this.keep > 0 && line.points.size >= SMOOTH_FROM ? smoothed(values[index], this.keep) : line.sparse ? values[index] : null));
    return { shown, places, values, over };
  }

  draw(anew) {
    if (!this.loaded) return;
    if (anew) this.colours.clear();
    const { shown, places, values, over } = this.columns();
    this.find("[data-waiting]")?.remove();
    this.find("[data-failed]").hidden = !this.dataset.lost;
    this.find("[data-nothing]").hidden = places.length > 0 || Boolean(this.dataset.lost);
    const data = [places, ...values, ...over.filter(Boolean)];
    const shape = shown.map((line, index) => line.key + (over[index] ? "~" : "")).join();
    if (anew || !this.chart || shape !== this.shape) this.make(data, shown, over);
    else this.chart.setData(data, false);
    this.shape = shape;
    this.shown = shown;
    this.span();
    this.legend(shown, values);
    this.table();
    this.dataset.drawn = places.length;
  }

  make(data, shown, over) {
    this.chart?.destroy();
    this.chart = null;
    if (!data[0].length) return;
    const stroke = (line, index, raw) => ({
      label: line.label,
      stroke: this.colour(`--c${line.colour}`),
      width: raw ? 1 : 2,
      alpha: raw ? 0.3 : 1,
      dash: DASHES[index % DASHES.length],
      spanGaps: true,
      points: { show: line.sparse, size: 7, fill: this.colour(line.sparse ? "--surface" : `--c${line.colour}`), width: 2 },
    });
    const below = shown.map((line, index) => stroke(line, index, Boolean(over[index])));
    const above = shown.flatMap((line, index) => (over[index] ? [stroke(line, index, false)] : []));
    const reach = (_, low, high) => (this.logarithmic ? uPlot.rangeLog(low, high, 10, true) : this.group.from_zero ? [Math.min(0, low), high * 1.06 || 1] : room(low, high));
    this.chart = new uPlot(
      {
        width: this.plot.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: true, y: false }, points: { size: 8 } },
        scales: { x: { time: false }, y: { distr: this.logarithmic ? 3 : 1, range: reach } },
        axes: [this.axis(0), this.axis(1)],
        series: [{}, ...below, ...above],
        hooks: { draw: [(chart) => this.marks(chart)], setCursor: [(chart) => this.tip(chart, shown)], setSelect: [(chart) => this.brushed(chart)] },
      },
      data,
      this.plot,
    );
  }

  brushed(chart) {
    const { left, width } = chart.select;
    if (width > 2) this.zoom([chart.posToVal(left, "x"), chart.posToVal(left + width, "x")]);
  }

  // The part of the axis that is shown; null for the whole.
  zoom(part) {
    const [low, high] = this.extent();
    this.view = part && part[1] - part[0] > 0 ? [Math.max(low, part[0]), Math.min(high, part[1])] : null;
    this.toggleAttribute("data-zoomed", Boolean(this.view));
    const whole = this.find("[data-whole]");
    if (whole) whole.hidden = !this.view;
    this.span();
    clearTimeout(this.refining);
    if (this.view) this.refining = setTimeout(() => this.refine(...this.view).then(() => this.draw(false)), REFINE_MS);
  }

  span() {
    const [low, high] = this.view ?? this.extent();
    this.chart?.setScale("x", { min: low, max: high });
  }

  key(event) {
    const [low, high] = this.view ?? this.extent();
    const step = (high - low) / 5;
    const moves = {
      "+": [low + step, high - step],
      "=": [low + step, high - step],
      "-": [low - step, high + step],
      ArrowLeft: [low - step, high - step],
      ArrowRight: [low + step, high + step],
    };
    const [first, last] = this.extent();
    if (event.key === "0" || (event.key === "Escape" && this.view)) this.zoom(null);
    else if (!moves[event.key] || (event.key.startsWith("Arrow") && !this.view)) return;
    else {
      const [from, to] = moves[event.key];
      const beyond = Math.max(0, first - from) + Math.min(0, last - to);
      this.zoom(event.key === "-" && (from <= first || to >= last) ? null : [from + beyond, to + beyond]);
    }
    event.preventDefault();
  }

  axis(side) {
    return {
      side: side ? 3 : 2,
      stroke: this.colour("--ink-3"),
      font: `11px ${getComputedStyle(this).fontFamily}`,
      grid: { stroke: this.colour("--line"), width: 1, show: Boolean(side) },
      ticks: { show: false },
      size: side ? widthOf : 30,
      space: side ? 44 : matchMedia("(max-width: 45rem)").matches ? 90 : 64,
      values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : side ? reading(tick) : this.place(tick))),
    };
  }

  legend(shown, values) {
    for (const place of this.querySelectorAll("[data-series]")) {
      const index = shown.findIndex((line) => line.key === place.dataset.series);
      place.hidden = !this.lines().some((line) => line.key === place.dataset.series);
      const known = index < 0 ? [] : values[index].filter((value) => value !== undefined && value !== null);
      place.querySelector("b").textContent = known.length ? reading(known[known.length - 1]) : "";
    }
  }

  // Shown in Latin, as what one copies.
  tip(chart, shown) {
    const tip = this.find(".tip");
    const at = chart.cursor.idx;
    tip.hidden = at === null || at === undefined || chart.cursor.left < 0;
    if (tip.hidden) return;
    const rows = shown.map((line, index) => [line.tip ?? line.key, chart.data[index + 1][at]]).filter(([, value]) => value !== undefined && value !== null);
    const texts = [`${this.config.axis ?? "step"} ${this.position(chart.data[0][at])}`, ...rows.map(([name, value]) => `${name} ${short(value)}`)];
    tip.replaceChildren(...texts.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
    const beyond = chart.cursor.left > chart.over.clientWidth / 2;
    tip.style.left = beyond ? "4.5rem" : "auto";
    tip.style.right = beyond ? "auto" : "1rem";
  }

  // What is drawn, in figures: for screen readers and for those who prefer them. Made only while it is open.
  table() {
    const place = this.find("[data-table]");
    if (!place?.open || !this.chart) return;
    const [places, ...columns] = this.chart.data.slice(0, 1 + this.shown.length);
    const [low, high] = this.view ?? this.extent();
    const inside = places.map((_, index) => index).filter((index) => places[index] >= low && places[index] <= high);
    const every = Math.max(1, Math.ceil(inside.length / TABLE_ROWS));
    const rows = inside.filter((_, order) => order % every === 0 || order === inside.length - 1);
    const head = [place.dataset.axis, ...this.shown.map((line) => line.label)].map((text) => cell("th", text, "col"));
    const body = rows.map((index) => row([cell("th", this.position(places[index]), "row"), ...columns.map((column) => cell("td", column[index] === undefined ? "" : short(column[index])))]));
    place.querySelector("thead").replaceChildren(row(head));
    place.querySelector("tbody").replaceChildren(...body);
  }

  savePicture() {
    if (!this.chart) return;
    const drawn = this.chart.ctx.canvas;
    const [edge, line] = [16 * devicePixelRatio, 20 * devicePixelRatio];
    const picture = Object.assign(document.createElement("canvas"), { width: drawn.width + 2 * edge, height: drawn.height + 3 * edge + line });
    const ctx = picture.getContext("2d");
    ctx.fillStyle = this.colour("--surface");
    ctx.fillRect(0, 0, picture.width, picture.height);
    ctx.font = `${13 * devicePixelRatio}px ${getComputedStyle(this).fontFamily}`;
    ctx.textBaseline = "top";
    let x = edge;
    for (const shown of this.shown) {
      ctx.fillStyle = this.colour(`--c${shown.colour}`);
      ctx.fillRect(x, edge + line / 3, line, 2 * devicePixelRatio);
      ctx.fillText(shown.label, x + line * 1.3, edge);
      x += line * 2.2 + ctx.measureText(shown.label).width;
    }
    ctx.drawImage(drawn, edge, 2 * edge + line);
    picture.toBlob((blob) => save(blob, `${this.config.name ?? "curve"}-${this.group.key}.png`));
  }

  resize() {
    if (this.chart && this.plot.clientWidth) this.chart.setSize({ width: this.plot.clientWidth, height: HEIGHT });
  }

  colour(name) {
    if (!this.colours.has(name)) this.colours.set(name, resolved(name));
    return this.colours.get(name);
  }
}

// As wide as its longest figure needs; of the first round, so that the plot does not swing between two widths.
function widthOf(chart, texts, index, round) {
  const axis = chart.axes[index];
  if (round > 1) return axis._size;
  chart.ctx.font = axis.font[0];
  const widest = Math.max(0, ...(texts ?? []).map((text) => chart.ctx.measureText(text).width));
  return Math.max(AXIS_WIDTH, Math.ceil(widest / devicePixelRatio) + 14);
}

export function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function resolved(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  probe.hidden = true;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

// Exponential moving average, corrected for its start, so that the line begins where the curve does.
function smoothed(values, keep) {
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    if (value === undefined || value === null) return value;
    [sum, weight] = [sum * keep + value * (1 - keep), weight * keep + (1 - keep)];
    return sum / weight;
  });
}

function room(low, high) {
  const margin = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [low - margin, high + margin];
}

function cell(kind, text, scope) {
  const made = Object.assign(document.createElement(kind), { textContent: text });
  if (scope) made.scope = scope;
  if (scope !== "col") made.className = "num";
  return made;
}

function row(cells) {
  const made = document.createElement("tr");
  made.append(...cells);
  return made;
}
