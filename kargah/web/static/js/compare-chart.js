// <compare-chart>: one metric of several runs over each other, by step or by the share of each run's own length.
import { CurveChart, save } from "./curve-chart.js";
import { digits, reading, short } from "./words.js";

class CompareChart extends CurveChart {
  prepare() {
    this.byShare = false;
    this.curves = new Map(this.config.runs.map((run) => [run.id, {}]));
    for (const button of this.querySelectorAll("[data-axis-by]")) button.addEventListener("click", () => this.measureBy(button));
    this.find("[data-csv]")?.addEventListener("click", () => this.saveTable());
  }

  async load() {
    await Promise.all(this.config.runs.map((run) => this.ask(run)));
    const first = this.config.groups.find((group) => this.config.runs.some((run) => this.curves.get(run.id)[group.key]?.length));
    const button = first && this.find(`[data-group="${first.key}"]`);
    if (button) this.show(button);
  }

  // A part that is looked at closer is asked for again, finer, of the runs whose curve was thinned.
  async ask(run, from, to) {
    const address = new URL(run.src, location.href);
    if (from !== undefined) address.search = new URLSearchParams({ from_step: Math.floor(from), to_step: Math.ceil(to) });
    try {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error(answer.status);
      const { series, thinned } = await answer.json();
      run.coarse ||= thinned;
      const known = this.curves.get(run.id);
      for (const [key, points] of Object.entries(series)) known[key] = [...new Map([...(known[key] ?? []), ...points])].sort(([one], [other]) => one - other);
    } catch {
      this.dataset.lost = "yes";
    }
  }

  async refine(from, to) {
    const step = (run, place) => (this.byShare ? (place / 100) * this.lastStep(run) : place);
    await Promise.all(this.config.runs.filter((run) => run.coarse).map((run) => this.ask(run, step(run, from), step(run, to))));
  }

  lastStep(run) {
    return Math.max(1, run.total_steps ?? 0, ...Object.values(this.curves.get(run.id)).map((points) => points[points.length - 1]?.[0] ?? 0));
  }

  measureBy(button) {
    for (const other of this.querySelectorAll("[data-axis-by]")) other.setAttribute("aria-pressed", other === button);
    this.byShare = button.dataset.axisBy === "share";
    this.view = null;
    this.draw(true);
  }

  lines() {
    return this.config.runs.map((run) => {
      const all = this.curves.get(run.id);
      const last = this.lastStep(run);
      const place = (step) => (this.byShare ? Math.round((step / last) * 10_000) / 100 : step);
      const points = new Map((all[this.group.key] ?? []).map(([step, value]) => [place(step), value]));
      return { key: run.id, label: run.label, tip: run.tip, colour: run.colour, points, noisy: this.group.noisy, sparse: this.group.sparse };
    });
  }

  extent() {
    if (this.byShare) return [0, 100];
    const last = this.lines().map((line) => Math.max(0, ...[...line.points.keys()].slice(-1)));
    return [0, Math.max(1, ...last)];
  }

  position(x) {
    return this.byShare ? `${short(x)}%` : short(x);
  }

  place(x) {
    return this.byShare ? digits(`${short(x)}%`) : reading(x);
  }

  saveTable() {
    const rows = this.config.runs.flatMap((run) => (this.curves.get(run.id)[this.group.key] ?? []).map(([step, value]) => [run.id, step, value].join(",")));
    save(new Blob([["run,step," + this.group.key, ...rows].join("\r\n") + "\r\n"], { type: "text/csv" }), `compare-${this.group.key}.csv`);
  }
}

customElements.define("compare-chart", CompareChart);
