// <command-palette>: what one can do and where one can go, and the runs, data sets and models by name.
import { fold } from "./fold.js";
import { visible } from "./words.js";

const ASK_AFTER_MS = 180;

class CommandPalette extends HTMLElement {
  connectedCallback() {
    this.dialog = this.querySelector("dialog");
    this.input = this.querySelector("input");
    this.commands = [...this.querySelectorAll("[data-commands] [role=option]")];
    this.found = this.querySelector("[data-found]");
    this.manual = this.querySelector("[data-help]");
    this.input.addEventListener("input", () => this.look());
    this.input.addEventListener("keydown", (event) => this.move(event));
    this.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.run(option);
      else if (event.target === this.dialog) this.dialog.close();
    });
    this.dialog.addEventListener("close", () => clearTimeout(this.asking));
    document.addEventListener("click", (event) => event.target.closest("[data-palette]") && this.open());
  }

  open() {
    if (this.dialog.open || document.querySelector("dialog[open]")) return;
    this.input.value = "";
    this.dialog.showModal();
    this.look();
  }

  get options() {
    return [...this.querySelectorAll("[role=option]")].filter((option) => !option.closest("[hidden]"));
  }

  look() {
    const words = fold(this.input.value).split(/\s+/).filter(Boolean);
    for (const option of this.commands) option.hidden = !words.every((word) => fold(option.textContent).includes(word));
    const group = this.querySelector("[data-commands]");
    group.hidden = this.commands.every((option) => option.hidden);
    this.manual.hidden = words.length === 0;
    this.select(this.options[0]);
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.ask(this.input.value.trim()), words.length ? ASK_AFTER_MS : 0);
  }

  async ask(query) {
    const address = `${this.dataset.search}${query ? `?${new URLSearchParams({ query })}` : ""}`;
    const answer = await fetch(address, { headers: { Accept: "application/json" } }).catch(() => null);
    if (!answer?.ok || query !== this.input.value.trim()) return;
    const { items } = await answer.json();
    for (const old of this.found.querySelectorAll("[role=option]")) old.remove();
    this.found.append(...items.map((item) => this.option(item)));
    this.found.hidden = items.length === 0;
    if (!this.picked || this.picked.closest("[hidden]") || !this.picked.isConnected || this.picked === this.manual) this.select(this.options[0]);
  }

  option(item) {
    const option = this.querySelector(`template[data-kind="${item.kind}"]`).content.firstElementChild.cloneNode(true);
    option.id = `found-${item.id}`;
    option.dataset.href = item.href;
    option.querySelector("span").textContent = visible(item.title);
    return option;
  }

  select(option) {
    this.picked?.setAttribute("aria-selected", "false");
    this.picked = option;
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) this.input.setAttribute("aria-activedescendant", option.id);
    else this.input.removeAttribute("aria-activedescendant");
  }

  move(event) {
    if (event.isComposing) return;
    const options = this.options;
    const at = options.indexOf(this.picked);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: event.ctrlKey ? 0 : undefined, End: event.ctrlKey ? -1 : undefined }[event.key];
    if (to !== undefined) this.select(options.at(to === options.length ? 0 : to));
    else if (event.key === "Enter" && this.picked) this.run(this.picked);
    else return;
    event.preventDefault();
  }

  run(option) {
    const { href, press, help } = option.dataset;
    if (this.dialog.open) this.dialog.close();
    if (press) document.querySelector(press)?.click();
    else location.assign(help ? help + encodeURIComponent(this.input.value.trim()) : href);
  }
}

customElements.define("command-palette", CommandPalette);
