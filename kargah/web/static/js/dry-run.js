// <dry-run>: rehearses what the form around it says without leaving it, and shows live what the page of that run shows.
// Without it the same button leads to that page.
import { isLogin, toLogin } from "./kept-form.js";
import { swap } from "./swap.js";

const PARTS = ["run-state", "run-notes", "run-progress", "run-result"];
const LAST_WORDS = new Set(["Finished", "Failed", "Stopped"]);
const REFRESH_MS = 400;

class DryRun extends HTMLElement {
  connectedCallback() {
    this.form = this.closest("form");
    this.form.addEventListener("submit", (event) => event.submitter?.name === "dry_run" && this.start(event));
    this.form.addEventListener("input", () => this.say("stale", Boolean(this.run)));
  }

  disconnectedCallback() {
    this.source?.close();
  }

  async start(event) {
    event.preventDefault();
    event.stopPropagation();
    const button = event.submitter;
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    await this.leave();
    const said = new URLSearchParams(new FormData(this.form, button));
    said.delete("_once"); // each rehearsal is one of its own
    try {
      const answer = await fetch(this.form.action, { method: "POST", body: said });
      if (isLogin(answer)) return toLogin(this.form);
      const html = await answer.text();
      if (answer.ok) this.follow(new URL(answer.url).pathname, html);
      else swap(html, "[data-live]");
    } catch {
      this.say("lost", true);
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  // A rehearsal of settings that nobody asks about any more gives its place to the next.
  async leave() {
    this.source?.close();
    for (const name of ["stale", "lost"]) this.say(name, false);
    const csrf = new URLSearchParams({ _csrf: this.form.elements._csrf.value });
    if (this.going) await fetch(`${this.run}/stop`, { method: "POST", body: csrf, redirect: "manual" }).catch(() => {});
    this.going = false;
  }

  follow(run, html) {
    this.run = run;
    const page = this.show(html);
    this.querySelector(".its-page").href = run;
    this.querySelector(".card").hidden = false;
    const stream = page.body.dataset.stream;
    if (!stream) return;
    this.going = true;
    this.source = new EventSource(stream);
    this.source.onmessage = (message) => {
      if (LAST_WORDS.has(JSON.parse(message.data).kind)) this.end();
      else this.timer ??= setTimeout(() => this.refresh(), REFRESH_MS);
    };
  }

  end() {
    this.source.close();
    this.going = false;
    this.refresh();
  }

  async refresh() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const run = this.run;
    const answer = await fetch(`${run}?parts=true`).catch(() => null);
    if (answer?.ok && run === this.run) this.show(await answer.text());
  }

  // Its parts, without what they are called there and without buttons that would send this form.
  show(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    for (const name of PARTS) {
      const part = page.getElementById(name);
      for (const form of part?.querySelectorAll("form") ?? []) form.remove();
      for (const named of part?.querySelectorAll("[id]") ?? []) named.removeAttribute("id");
      this.querySelector(`[data-part="${name}"]`).replaceChildren(...(part?.childNodes ?? []));
    }
    return page;
  }

  say(name, shown) {
    this.querySelector(`.${name}`).hidden = !shown;
  }
}

customElements.define("dry-run", DryRun);
