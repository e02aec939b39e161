// <run-chart>: the curves of one run. Asks for them once, then follows the page's event stream; a point is known by
// (curve, step), so that what comes twice counts once and a resumed attempt takes the place of what it redoes. A long curve
// comes as the least and greatest of its stretches; a part that is looked at closer is asked for again, finer.
import { CurveChart } from "./curve-chart.js";

// Epochs closer than this are marked every few.
const EPOCH_ROOM = 24;

class RunChart extends CurveChart {
  prepare() {
    this.curves = new Map();
    this.points = new Map(this.config.saved.map((saved) => [saved.step, saved]));
    this.plan(this.config.total_steps, this.config.total_epochs);
    this.early = [];
    document.addEventListener("kargah:event", (event) => (this.early ? this.early.push(event.detail) : this.take(event.detail)));
  }

  async load() {
    await this.ask();
    for (const event of this.early ?? []) this.take(event);
    this.early = null;
  }

  async ask(from, to) {
    const address = new URL(this.getAttribute("src"), location.href);
    if (from !== undefined) address.search = new URLSearchParams({ from_step: Math.floor(from), to_step: Math.ceil(to) });
    try {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error(answer.status);
      this.fill(await answer.json());
      delete this.dataset.lost;
    } catch {
      this.dataset.lost = "yes";
      document.addEventListener("kargah:reconnected", () => this.ask(from, to).then(() => this.soon()), { once: true });
    }
  }

  async refine(from, to) {
    if (this.coarse) await this.ask(from, to);
  }

  // {series: {key: [[step, value] …]}, thinned}
  fill(curve) {
    this.coarse ||= curve.thinned;
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

  lines() {
    return this.group.series.map((series) => ({ ...series, points: this.curves.get(series.key) ?? new Map() }));
  }

  // The axis spans the whole plan, so that the empty part is what is left.
  extent() {
    const steps = this.chart?.data[0] ?? [];
    return [0, Math.max(this.total ?? 0, steps[steps.length - 1] ?? 0, 1)];
  }

  // A page that is open for long holds about as much as a fresh one asks for, and all of the part that is looked at closer.
  spare(key, curve) {
    const [low, high] = this.view ?? [1, 0];
    const close = [...curve].filter(([step]) => step >= low && step <= high);
    this.curves.set(key, new Map([...thin(curve, this.config.max_points), ...(close.length > this.config.max_points ? [] : close)]));
    this.coarse = true;
  }

  draw(anew) {
    for (const [key, curve] of this.curves) if (curve.size > 2 * this.config.max_points) this.spare(key, curve);
    this.dataset.points = this.curves.get(this.config.counted)?.size ?? 0;
    super.draw(anew);
  }

  // Epochs as dotted lines, checkpoints as tiles on the axis, the best one green.
  marks(chart) {
    const { ctx, bbox } = chart;
    const pixel = (step) => chart.valToPos(step, "x", true);
    const inside = (x) => x >= bbox.left - 1 && x <= bbox.left + bbox.width + 1;
    ctx.save();
    ctx.strokeStyle = this.colour("--line-2");
    ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
    const epoch = this.stepsPerEpoch;
    const every = epoch && epoch * Math.max(1, Math.ceil((EPOCH_ROOM * devicePixelRatio) / (pixel(epoch) - pixel(0))));
    if (every) for (let step = every; step < this.total; step += every) if (inside(pixel(step))) stroke(ctx, [pixel(step), bbox.top], [pixel(step), bbox.top + bbox.height]);
    ctx.setLineDash([]);
    for (const { step, best } of this.points.values()) if (inside(pixel(step))) this.tile(ctx, pixel(step), bbox.top + bbox.height, 5 * devicePixelRatio, best);
    ctx.restore();
  }

  tile(ctx, x, y, size, best) {
    ctx.beginPath();
    for (const [dx, dy] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) ctx.lineTo(x + dx * size, y + dy * size);
    ctx.closePath();
    ctx.fillStyle = this.colour(best ? "--pesteh-fill" : "--surface");
    ctx.strokeStyle = this.colour(best ? "--pesteh-fill" : "--ink-3");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.fill();
    ctx.stroke();
  }
}

// At most about so many points, none of them invented: the least and the greatest of each stretch, and both ends.
function thin(curve, most) {
  const points = [...curve].filter(([, value]) => value !== null).sort(([one], [other]) => one - other);
  const size = Math.ceil((2 * points.length) / most);
  const kept = new Map([...points.slice(0, 1), ...points.slice(-1)]);
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    kept.set(...part.reduce((least, point) => (point[1] < least[1] ? point : least)));
    kept.set(...part.reduce((greatest, point) => (point[1] > greatest[1] ? point : greatest)));
  }
  return kept;
}

function stroke(ctx, [x1, y1], [x2, y2]) {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}

customElements.define("run-chart", RunChart);
