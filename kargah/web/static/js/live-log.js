// <live-log>: new lines come in at the top, until somebody reads further down; then they wait.
const KEPT = 400;

class LiveLog extends HTMLElement {
  connectedCallback() {
    this.list = this.querySelector("ol");
    this.onEvent = () => this.soon();
    document.addEventListener("kargah:event", this.onEvent);
  }

  disconnectedCallback() {
    document.removeEventListener("kargah:event", this.onEvent);
  }

  soon() {
    this.timer ??= setTimeout(() => this.more(), 1000);
  }

  async more() {
    const newest = this.list.firstElementChild?.dataset.position ?? this.dataset.since;
    try {
      const answer = await fetch(`${this.getAttribute("src")}?after=${newest}`);
      if (answer.ok) this.add(await answer.text());
    } catch {
      this.again = true; // the network is away: asked again with the next event, from the same place
    }
    this.timer = undefined;
  }

  add(html) {
    const lines = new DOMParser().parseFromString(html, "text/html").querySelectorAll("li");
    const reading = this.list.scrollTop > 8;
    const height = this.list.scrollHeight;
    this.list.prepend(...lines);
    while (this.list.children.length > KEPT) this.list.lastElementChild.remove();
    if (reading) this.list.scrollTop += this.list.scrollHeight - height;
    if (lines.length) this.querySelector("[data-nothing]")?.remove();
  }
}

customElements.define("live-log", LiveLog);
