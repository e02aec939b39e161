// <live-log>: new lines come in at the top. While one reads further down, or does not follow, the text under the eyes stays.
// Searching asks the server: the same form works as a whole page.
const KEPT = 400;

class LiveLog extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.follow = this.querySelector("[data-follow]");
    this.follow.closest("label").hidden = false;
    this.follow.addEventListener("change", () => this.follow.checked && this.list.scrollTo(0, 0));
    this.form.addEventListener("submit", (event) => this.search(event));
    this.form.addEventListener("input", () => this.searchSoon());
    this.onEvent = () => this.soon();
    document.addEventListener("kargah:event", this.onEvent);
  }

  disconnectedCallback() {
    document.removeEventListener("kargah:event", this.onEvent);
  }

  get list() {
    return this.querySelector("ol");
  }

  get wanted() {
    return this.form.elements.log.value.trim();
  }

  soon() {
    this.timer ??= setTimeout(() => this.more(), 1000);
  }

  async more() {
    const wanted = this.wanted;
    const newest = this.querySelector(".lines").dataset.newest;
    try {
      const answer = await this.ask({ after: newest, q: wanted });
      this.timer = undefined;
      if (answer && wanted === this.wanted && this.add(answer.querySelector(".lines"), newest)) this.soon(); // there may be more than one answer holds
    } catch {
      this.timer = undefined; // the network is away: asked again with the next event, from the same place
    }
  }

  add(lines, before) {
    const reading = !this.follow.checked || this.list.scrollTop > 8;
    const height = this.list.scrollHeight;
    const fresh = lines.querySelectorAll("li");
    this.list.prepend(...fresh);
    this.querySelector(".lines").dataset.newest = lines.dataset.newest;
    if (fresh.length) this.querySelector(".nothing")?.remove();
    while (this.list.children.length > KEPT) this.list.lastElementChild.remove();
    if (reading) this.list.scrollTop += this.list.scrollHeight - height;
    return lines.dataset.newest !== before;
  }

  searchSoon() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.search(), 300);
  }

  async search(event) {
    event?.preventDefault();
    const wanted = this.wanted;
    const lines = await this.ask({ q: wanted }).catch(() => null);
    if (lines && wanted === this.wanted) this.querySelector(".lines").replaceWith(lines.querySelector(".lines"));
  }

  async ask(what) {
    const answer = await fetch(`${this.getAttribute("src")}?${new URLSearchParams(what)}`);
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  }
}

customElements.define("live-log", LiveLog);
