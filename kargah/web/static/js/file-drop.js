// <file-drop> around a form with a file: drop or choose one or many, see how far each is, stop any. Without it the form works as it is.
import { toLogin } from "./kept-form.js";
import { swap } from "./swap.js";
import { digits, fill } from "./words.js";

class FileDrop extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.input = this.querySelector("input[type=file]");
    this.zone = this.querySelector(".drop");
    this.sending = this.querySelector(".sending");
    this.row = this.sending.firstElementChild;
    this.input.multiple = this.hasAttribute("data-many");
    this.input.addEventListener("change", () => this.name());
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
    const files = [...event.dataTransfer.files];
    if (!files.length || this.busy) return;
    const taken = new DataTransfer();
    for (const file of this.input.multiple ? files : files.slice(0, 1)) taken.items.add(file);
    this.input.files = taken.files;
    this.name();
  }

  // One file may have a title of its own; many are called by their names.
  name() {
    const files = [...this.input.files];
    this.zone.querySelector(".file-name").textContent = files.map((file) => file.name).join("\n");
    const title = this.form.elements.title;
    if (!title) return;
    title.disabled = files.length > 1;
    if (files.length === 1 && !title.value) title.value = files[0].name.replace(/\.[^.]+$/, "");
  }

  async send(event) {
    event.preventDefault();
    const files = [...this.input.files];
    if (this.busy || !files.length) return;
    this.waits(true);
    this.sending.replaceChildren(...files.map((file) => this.rowFor(file)));
    this.sending.hidden = false;
    const answers = [];
    for (const [index, file] of files.entries()) answers.push(await this.one(file, this.sending.children[index]));
    this.waits(false);
    if (files.length === 1) this.after(answers[0]);
    else if (answers.every((answer) => answer.ok)) location.assign(this.dataset.many);
    else this.input.value = "";
  }

  waits(busy) {
    this.busy = busy;
    this.input.disabled = busy;
    this.form.querySelector("button:not(.cancel)").disabled = busy;
    this.querySelector(".drop-error").hidden = true;
  }

  rowFor(file) {
    const row = this.row.cloneNode(true);
    row.querySelector(".file-name").textContent = file.name;
    row.querySelector("progress").value = 0;
    row.querySelector(".cancel").addEventListener("click", () => (row.request ? row.request.abort() : (row.cancelled = true)));
    return row;
  }

  // Ends with {ok, url, html}; neither a lost connection nor a cancel throws.
  one(file, row) {
    const said = (text) => (row.querySelector(".sent").textContent = text);
    return new Promise((resolve) => {
      const end = (answer) => {
        row.querySelector(".cancel").remove();
        row.classList.toggle("a-r", !answer.ok);
        resolve(answer);
      };
      if (row.cancelled) return said(this.dataset.cancelled), end({ ok: false, cancelled: true });
      const request = (row.request = new XMLHttpRequest());
      request.open("POST", this.form.action);
      request.setRequestHeader("X-CSRF-Token", this.form.elements._csrf.value);
      request.upload.onprogress = ({ loaded, total }) => said(this.progress(row, loaded, total));
      request.onload = () => {
        if (new URL(request.responseURL).pathname === "/login") return toLogin(this.form);
        const ok = request.status < 400;
        said(ok ? this.dataset.received : wrong(request.responseText));
        end({ ok, url: request.responseURL, html: request.responseText });
      };
      request.onabort = () => (said(this.dataset.cancelled), end({ ok: false, cancelled: true }));
      request.onerror = () => (said(this.querySelector(".drop-error").textContent), end({ ok: false, lost: true }));
      request.send(this.formOf(file));
    });
  }

  formOf(file) {
    const form = new FormData();
    for (const name of ["_csrf", "_once"]) form.set(name, this.form.elements[name].value);
    const title = this.form.elements.title;
    if (title && !title.disabled) form.set("title", title.value);
    form.set("file", file);
    return form;
  }

  progress(row, loaded, total) {
    const share = total ? (100 * loaded) / total : 0;
    row.querySelector("progress").value = share;
    const mega = (bytes) => digits((bytes / 1e6).toFixed(1));
    return fill(this.dataset.progress, { percent: digits(Math.floor(share)), done: mega(loaded), total: mega(total) });
  }

  // The answer is a page: the one of what was made, or this one with what was wrong.
  after(answer) {
    if (answer.ok) location.assign(answer.url);
    else if (answer.lost) this.querySelector(".drop-error").hidden = false;
    else if (!answer.cancelled) this.show(answer.html);
  }

  show(html) {
    const fresh = swap(html, `#${this.id}`);
    if (!fresh.getElementById(this.id)) document.querySelector("main").replaceWith(fresh.querySelector("main"));
  }
}

// What a refusing page says beside the field, or as a whole.
function wrong(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  return (page.getElementById("file-error") ?? page.querySelector("main h1"))?.textContent.trim() ?? "";
}

customElements.define("file-drop", FileDrop);
