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
      const found = answer.ok ? this.add(await answer.text()) : 0;
      this.timer = undefined;
      if (found) this.soon(); // there may be more than one answer holds
    } catch {
      this.timer = undefined; // the network is away: asked again with the next event, from the same place
    }
  }

  add(html) {
    const lines = new DOMParser().parseFromString(html, "text/html").querySelectorAll("li");
    const reading = this.list.scrollTop > 8;
    const height = this.list.scrollHeight;
    this.list.prepend(...lines);
    while (this.list.children.length > KEPT) this.list.lastElementChild.remove();
    if (reading) this.list.scrollTop += this.list.scrollHeight - height;
    return lines.length;
  }
}

customElements.define("live-log", LiveLog);
