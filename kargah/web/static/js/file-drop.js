// <file-drop> around a form with a file: drop or choose, and see how far the sending is. Without it the form works as it is.
import { swap } from "./swap.js";
import { digits, fill } from "./words.js";

class FileDrop extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.input = this.querySelector("input[type=file]");
    this.zone = this.querySelector(".drop");
    this.input.addEventListener("change", () => this.name());
    this.querySelector("[data-choose]")?.addEventListener("click", () => this.input.click());
    for (const kind of ["dragenter", "dragover"]) this.zone.addEventListener(kind, (event) => this.over(event, true));
    for (const kind of ["dragleave", "drop"]) this.zone.addEventListener(kind, (event) => this.over(event, false));
    this.zone.addEventListener("drop", (event) => this.dropped(event));
    this.form.addEventListener("submit", (event) => this.send(event));
  }

  over(event, inside) {
    event.preventDefault();
    this.zone.classList.toggle("over", inside);
  }

  dropped(event) {
    if (!event.dataTransfer.files.length) return;
    this.input.files = event.dataTransfer.files;
    this.name();
  }

  name() {
    const file = this.input.files[0];
    this.querySelector(".file-name").textContent = file ? file.name : "";
    const title = this.form.elements.title;
    if (title && file && !title.value) title.value = file.name.replace(/\.[^.]+$/, "");
  }

  send(event) {
    event.preventDefault();
    if (this.request) return;
    const request = (this.request = new XMLHttpRequest());
    request.open("POST", this.form.action);
    request.setRequestHeader("X-CSRF-Token", this.form.elements._csrf.value);
    request.upload.onprogress = (progress) => this.progress(progress);
    request.onload = () => this.done();
    request.onerror = () => this.failed();
    request.send(new FormData(this.form));
    this.querySelector(".sending").hidden = false;
    for (const button of this.querySelectorAll("button")) button.disabled = true;
  }

  progress({ loaded, total }) {
    const share = total ? (100 * loaded) / total : 0;
    this.querySelector(".sending progress").value = share;
    const mega = (bytes) => digits((bytes / 1e6).toFixed(1));
    this.querySelector(".sent").textContent = fill(this.dataset.progress, { percent: digits(Math.floor(share)), done: mega(loaded), total: mega(total) });
  }

  // The answer is a page: the one of the new data set, or this one with what was wrong.
  done() {
    if (this.request.status < 400 && this.request.responseURL) location.assign(this.request.responseURL);
    else this.show(this.request.responseText);
  }

  failed() {
    this.request = null;
    this.querySelector(".sending").hidden = true;
    this.querySelector(".drop-error").hidden = false;
    for (const button of this.querySelectorAll("button")) button.disabled = false;
  }

  show(html) {
    this.request = null;
    const fresh = swap(html, `#${this.id}`);
    if (!fresh.getElementById(this.id)) document.querySelector("main").replaceWith(fresh.querySelector("main"));
  }
}

customElements.define("file-drop", FileDrop);
