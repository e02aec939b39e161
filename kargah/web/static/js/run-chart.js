// <run-chart>: the curves of a run over uPlot. Asks for the curve once, then follows the page's event stream; a point is
// known by (curve, step), so that what comes twice counts once and a resumed attempt takes the place of what it redoes.
import uPlot from "../vendor/uplot.js";
import { digits, short } from "./words.js";

const HEIGHT = 300;
const SMOOTH_FROM = 24;
const DASHES = [[], [7, 4], [2, 4], [10, 3, 2, 3]];

class RunChart extends HTMLElement {
  async connectedCallback() {
    this.config = JSON.parse(this.querySelector("script[type='application/json']").textContent);
    this.plot = this.querySelector(".uplot-place");
    this.curves = new Map();
    this.points = new Map(this.config.saved.map((saved) => [saved.step, saved]));
    this.plan(this.config.total_steps, this.config.total_epochs);
    this.group = this.config.groups[0];
    this.early = [];
    document.addEventListener("kargah:event", (event) => (this.early ? this.early.push(event.detail) : this.take(event.detail)));
    for (const button of this.querySelectorAll("[data-group]")) button.addEventListener("click", () => this.show(button));
    this.plot.addEventListener("dblclick", () => {
      this.zoomed = false;
      setTimeout(() => this.span());
    });
    new ResizeObserver(() => this.resize()).observe(this.plot);
    new MutationObserver(() => this.draw(true)).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(true));
    await document.fonts?.ready;
    await this.load();
  }

  async load() {
    try {
      const answer = await fetch(this.getAttribute("src"));
      if (answer.ok) this.fill(await answer.json());
    } catch {
      this.dataset.lost = "yes";
    }
    for (const event of this.early) this.take(event);
    this.early = null;
    this.draw(true);
  }

  // {series: {key: [[step, value] …]}}
  fill(curve) {
    for (const [key, points] of Object.entries(curve.series)) for (const [step, value] of points) this.put(key, step, value);
  }

  put(key, step, value) {
    if (!this.curves.has(key)) this.curves.set(key, new Map());
    this.curves.get(key).set(step, value);
  }

  take({ kind, payload }) {
    if (kind === "Step" || (kind === "Evaluated" && payload.model === "model")) for (const [key, value] of Object.entries(payload.metrics)) this.put(key, payload.step, value);
    else if (kind === "Saved") this.points.set(payload.step, payload);
    else if (kind === "Resumed") this.forget(payload.from_step);
    else if (kind === "Running" && payload.total_steps) this.plan(payload.total_steps, payload.total_epochs);
    else return;
    this.soon();
  }

  plan(steps, epochs) {
    this.total = steps;
    this.stepsPerEpoch = steps && epochs ? steps / epochs : null;
  }

  forget(fromStep) {
    for (const curve of this.curves.values()) for (const step of curve.keys()) if (step > fromStep) curve.delete(step);
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

  // Columns for uPlot: all steps of the shown curves, then each curve, the first one also smoothed.
  columns() {
    const shown = this.group.series.filter((series) => this.curves.get(series.key)?.size);
    const steps = [...new Set(shown.flatMap((series) => [...this.curves.get(series.key).keys()]))].sort((a, b) => a - b);
    const values = shown.map((series) => steps.map((step) => this.curves.get(series.key).get(step)));
    const smooth = shown.map((series, index) => (series.noisy && this.curves.get(series.key).size >= SMOOTH_FROM ? smoothed(values[index]) : null));
    return { shown, steps, values, smooth };
  }

  draw(anew) {
    const { shown, steps, values, smooth } = this.columns();
    this.dataset.points = this.curves.get(this.config.counted)?.size ?? 0;
    this.querySelector("[data-nothing]").hidden = steps.length > 0;
    const data = [steps, ...values, ...smooth.filter(Boolean)];
    const shape = shown.map((series, index) => series.key + (smooth[index] ? "~" : "")).join();
    if (anew || !this.chart || shape !== this.shape || this.total !== this.drawnTotal) this.make(data, shown, smooth);
    else this.chart.setData(data, false);
    this.span();
    [this.shape, this.drawnTotal] = [shape, this.total];
    this.legend(shown, values);
  }

  make(data, shown, smooth) {
    this.chart?.destroy();
    this.chart = null;
    this.zoomed = false;
    if (!data[0].length) return;
    const line = (series, index, raw) => ({
      label: series.label,
      stroke: colour(`--c${series.colour}`),
      width: raw ? 1 : 2,
      alpha: raw ? 0.3 : 1,
      dash: DASHES[index % DASHES.length],
      spanGaps: true,
      points: { show: series.sparse, size: 7, fill: colour(series.sparse ? "--surface" : `--c${series.colour}`), width: 2 },
    });
    const lines = shown.map((series, index) => line(series, index, Boolean(smooth[index])));
    const over = shown.flatMap((series, index) => (smooth[index] ? [line(series, index, false)] : []));
    this.chart = new uPlot(
      {
        width: this.plot.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: true, y: false }, points: { size: 8 } },
        scales: { x: { time: false }, y: { range: (_, low, high) => (this.group.from_zero ? [Math.min(0, low), high * 1.06 || 1] : room(low, high)) } },
        axes: [this.axis(0), this.axis(1)],
        series: [{}, ...lines, ...over],
        hooks: { draw: [(chart) => this.marks(chart)], setCursor: [(chart) => this.tip(chart, shown)], setSelect: [(chart) => (this.zoomed = chart.select.width > 0)] },
      },
      data,
      this.plot,
    );
  }

  // The axis spans the whole plan, so that the empty part is what is left; a brushed part is shown alone until a double click.
  span() {
    if (!this.chart) return;
    const steps = this.chart.data[0];
    const { min, max } = this.chart.scales.x;
    this.chart.setScale("x", this.zoomed ? { min, max } : { min: 0, max: Math.max(this.total ?? 0, steps[steps.length - 1], 1) });
  }

  axis(side) {
    return {
      side: side ? 3 : 2,
      stroke: colour("--ink-3"),
      font: `11px ${getComputedStyle(this).fontFamily}`,
      grid: { stroke: colour("--line"), width: 1, show: Boolean(side) },
      ticks: { show: false },
      size: side ? 52 : 30,
      space: side ? 44 : matchMedia("(max-width: 45rem)").matches ? 90 : 64,
      values: (_, ticks) => ticks.map((tick) => digits(short(tick))),
    };
  }

  // Epochs as dotted lines, checkpoints as tiles on the axis, the best one green.
  marks(chart) {
    const { ctx, bbox } = chart;
    const pixel = (step) => chart.valToPos(step, "x", true);
    const inside = (x) => x >= bbox.left - 1 && x <= bbox.left + bbox.width + 1;
    ctx.save();
    ctx.strokeStyle = colour("--line-2");
    ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
    const epoch = this.stepsPerEpoch;
    if (epoch && this.total / epoch <= 60) for (let step = epoch; step < this.total; step += epoch) if (inside(pixel(step))) stroke(ctx, [pixel(step), bbox.top], [pixel(step), bbox.top + bbox.height]);
    ctx.setLineDash([]);
    for (const { step, best } of this.points.values()) if (inside(pixel(step))) tile(ctx, pixel(step), bbox.top + bbox.height, 5 * devicePixelRatio, best);
    ctx.restore();
  }

  legend(shown, values) {
    const places = this.querySelectorAll("[data-series]");
    for (const place of places) {
      const index = shown.findIndex((series) => series.key === place.dataset.series);
      place.hidden = !this.group.series.some((series) => series.key === place.dataset.series);
      const known = index < 0 ? [] : values[index].filter((value) => value !== undefined && value !== null);
      place.querySelector("b").textContent = known.length ? digits(short(known[known.length - 1])) : "";
    }
  }

  // Shown in Latin, as what one copies.
  tip(chart, shown) {
    const tip = this.querySelector(".tip");
    const at = chart.cursor.idx;
    tip.hidden = at === null || at === undefined || chart.cursor.left < 0;
    if (tip.hidden) return;
    const row = (name, value) => `${name} ${value}`;
    const rows = shown.map((series, index) => [series.key, chart.data[index + 1][at]]).filter(([, value]) => value !== undefined && value !== null);
    tip.replaceChildren(...[row("step", short(chart.data[0][at])), ...rows.map(([key, value]) => row(key, short(value)))].map((text) => Object.assign(document.createElement("span"), { textContent: text })));
    const beyond = chart.cursor.left > chart.over.clientWidth / 2;
    tip.style.insetInlineStart = beyond ? "4rem" : "auto";
    tip.style.insetInlineEnd = beyond ? "auto" : "1rem";
  }

  resize() {
    if (this.chart && this.plot.clientWidth) this.chart.setSize({ width: this.plot.clientWidth, height: HEIGHT });
  }
}

const colour = (name) => {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  probe.hidden = true;
  document.body.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
};

// Exponential moving average, corrected for its start, so that the line begins where the curve does.
function smoothed(values, keep = 0.9) {
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

function stroke(ctx, [x1, y1], [x2, y2]) {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}

function tile(ctx, x, y, size, best) {
  ctx.beginPath();
  for (const [dx, dy] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) ctx.lineTo(x + dx * size, y + dy * size);
  ctx.closePath();
  ctx.fillStyle = best ? colour("--pesteh-fill") : colour("--surface");
  ctx.strokeStyle = best ? colour("--pesteh-fill") : colour("--ink-3");
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.fill();
  ctx.stroke();
}

customElements.define("run-chart", RunChart);
