// <machine-gauges>: the lines of CPU, memory, disk and network go on with the page's stream. Every word comes finished from the server.
const [WIDTH, HEIGHT, ROOM] = [100, 28, 2];

class MachineGauges extends HTMLElement {
  connectedCallback() {
    const { places, fewest, quiet, meters } = JSON.parse(this.querySelector("script[type='application/json']").textContent);
    Object.assign(this, { places, fewest, quiet, meters });
    document.addEventListener("kargah:machine", (event) => this.take(event.detail));
  }

  take({ meters, space }) {
    for (const meter of meters) {
      const place = this.querySelector(`[data-meter="${meter.key}"]`);
      const known = this.meters[meter.key];
      if (!place || !known) continue;
      known.values = [...known.values, ...meter.values].slice(-this.places);
      place.querySelector("b").textContent = meter.text;
      place.querySelector("[data-detail]").textContent = meter.detail;
      const line = lineOf(known.values, known.full ?? Math.max(this.quiet, ...known.values), Math.max(this.fewest, known.values.length));
      place.querySelector(".l").setAttribute("d", line);
      place.querySelector(".ar").setAttribute("d", `${line}L${WIDTH} ${HEIGHT}L${line.slice(1).split(" ")[0]} ${HEIGHT}z`);
    }
    const text = this.querySelector("[data-space]");
    if (!text) return;
    text.textContent = space.text;
    this.querySelector("progress").value = space.percent;
  }
}

// As sparks.line_of: the newest value at the end.
function lineOf(values, full, places) {
  const step = WIDTH / Math.max(1, places - 1);
  const start = WIDTH - step * (values.length - 1);
  const height = (value) => HEIGHT - (HEIGHT - ROOM) * Math.min(1, Math.max(0, value / full));
  return `M${values.map((value, index) => `${(start + index * step).toFixed(1)} ${height(value).toFixed(1)}`).join("L")}`;
}

customElements.define("machine-gauges", MachineGauges);
