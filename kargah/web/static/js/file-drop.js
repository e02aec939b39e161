// <file-drop> around a form with a file: drop or choose one, many or a folder, see how far each is, pause or stop any. Large files go
// in pieces where the form has a place for them (data-pieces). Without it the form works as it is.
import { chosen, dropped } from "./folders.js";
import { toLogin } from "./kept-form.js";
import { Cancelled, Refused, Sending, giveUp, markOf } from "./pieces.js";
import { hashed } from "./sha256.js";
import { swap } from "./swap.js";
import { digits, fill } from "./words.js";
import { zipped } from "./zip.js";

const PIECES_FROM_BYTES = 8e6;
const PARTS = /\.(wav|mp3|flac|ogg|oga|opus|m4a|png|jpe?g|webp|gif|bmp|tiff?)$|(^|\/)(manifest|metadata)\.\w+$/i;

class FileDrop extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.input = this.querySelector("input[type=file]");
    this.folder = this.querySelector("input[webkitdirectory]");
    this.together = this.querySelector("[name=together]");
    this.zone = this.querySelector(".drop");
    this.sending = this.querySelector(".sending");
    this.row = this.sending.firstElementChild;
    this.input.multiple = this.hasAttribute("data-many");
    this.input.addEventListener("change", () => this.take([...this.input.files].map((file) => ({ name: file.name, file }))));
    this.folder?.addEventListener("change", () => this.take(chosen(this.folder.files)));
    for (const kind of ["dragenter", "dragover"]) this.zone.addEventListener(kind, (event) => this.over(event, true));
    for (const kind of ["dragleave", "drop"]) this.zone.addEventListener(kind, (event) => this.over(event, false));
    this.zone.addEventListener("drop", async (event) => this.busy || this.take(await dropped(event.dataTransfer)));
    this.form.addEventListener("submit", (event) => this.send(event));
  }

  over(event, inside) {
    event.preventDefault();
    this.zone.classList.toggle("over", inside);
  }

  // One file may have a title of its own; many are called by their names, unless they are the parts of one.
  take(entries) {
    if (!entries.length) return;
    this.taken = this.input.multiple ? entries : entries.slice(0, 1);
    this.input.required = false;
    this.zone.querySelector(".file-name").textContent = shortened(this.taken.map(({ name }) => name));
    if (this.together) {
      this.together.closest("label").hidden = this.taken.length < 2;
      this.together.checked = this.taken.length > 1 && this.taken.some(({ name }) => PARTS.test(name));
      this.together.onchange = () => this.name();
    }
    this.name();
    this.recall();
  }

  get isOne() {
    return this.taken.length === 1 || Boolean(this.together?.checked);
  }

  name() {
    const title = this.form.elements.title;
    if (!title) return;
    title.disabled = !this.isOne;
    if (this.isOne && !title.value) title.value = (this.taken.length > 1 ? folderOf(this.taken) : this.taken[0].file.name.replace(/\.[^.]+$/, "")) ?? "";
  }

  // Files of which a part has arrived before: said as soon as they are chosen.
  async recall() {
    const list = document.getElementById("unfinished");
    if (!list || !this.dataset.pieces) return;
    for (const item of list.querySelectorAll("[data-mark]")) item.classList.remove("chosen");
    for (const { file } of this.taken.filter(({ file }) => file.size > PIECES_FROM_BYTES)) {
      list.querySelector(`[data-mark="${CSS.escape(await markOf(file))}"]`)?.classList.add("chosen");
    }
  }

  async send(event) {
    event.preventDefault();
    if (this.busy || !this.taken) return;
    this.waits(true);
    const files = await this.files();
    if (!files) return this.waits(false);
    this.sending.replaceChildren(...files.map((file) => this.rowFor(file)));
    this.sending.hidden = false;
    const answers = [];
    for (const [index, file] of files.entries()) answers.push(await this.one(file, this.sending.children[index]));
    this.waits(false);
    if (files.length === 1) this.after(answers[0]);
    else if (answers.every((answer) => answer.ok)) location.assign(this.dataset.many);
  }

  async files() {
    if (!this.together?.checked || this.taken.length < 2) return this.taken.map(({ file }) => file);
    const packed = await zipped(this.taken, `${folderOf(this.taken) ?? this.form.elements.title.value ?? "data"}.zip`).catch(() => null);
    if (packed) return [packed];
    this.lost(this.dataset.tooMany);
    return null;
  }

  waits(busy) {
    this.busy = busy;
    this.input.disabled = busy;
    if (this.folder) this.folder.disabled = busy;
    this.form.querySelector("button:not(.cancel, .pause)").disabled = busy;
    if (busy) this.querySelector(".drop-error").hidden = true;
  }

  lost(text) {
    const place = this.querySelector(".drop-error");
    if (text) place.querySelector("span").textContent = text;
    place.hidden = false;
  }

  rowFor(file) {
    const row = this.row.cloneNode(true);
    row.querySelector(".file-name").textContent = file.name;
    row.querySelector("progress").value = 0;
    row.querySelector(".cancel").addEventListener("click", () => (row.stop ? row.stop() : (row.cancelled = true)));
    return row;
  }

  // Ends with {ok, url, html}; neither a lost connection nor a cancel throws.
  async one(file, row) {
    const isLarge = this.dataset.pieces && file.size > PIECES_FROM_BYTES;
    const answer = row.cancelled ? this.said(row, this.dataset.cancelled, { cancelled: true }) : await (isLarge ? this.inPieces(file, row) : this.whole(file, row));
    for (const button of row.querySelectorAll(".cancel, .pause")) button.remove();
    row.classList.toggle("a-r", !answer.ok);
    return answer;
  }

  said(row, text, answer) {
    row.querySelector(".sent").textContent = text;
    return { ok: false, ...answer };
  }

  async inPieces(file, row) {
    let last = {};
    const sending = new Sending(this.dataset.pieces, this.form.elements._csrf.value, file, ({ done, total, link }) => {
      if (total) last = { done, total };
      this.said(row, link === "lost" ? this.dataset.waiting : this.progress(row, last.done ?? 0, last.total ?? file.size));
    });
    row.stop = () => sending.cancel();
    this.pausable(row, sending);
    try {
      const made = await sending.run(this.wish());
      return this.said(row, this.dataset.received, { ok: true, url: this.dataset.made.replace("ID", made.dataset_id) });
    } catch (error) {
      if (error instanceof Cancelled) await giveUp(sending);
      if (error instanceof Cancelled) return this.said(row, this.dataset.cancelled, { cancelled: true });
      if (error instanceof Refused && error.status === 401) return toLogin(this.form), this.said(row, "");
      return this.said(row, error.message, { told: true });
    }
  }

  pausable(row, sending) {
    const button = row.querySelector(".pause");
    button.hidden = false;
    button.addEventListener("click", () => {
      const paused = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", paused);
      paused ? sending.pause() : sending.resume();
      if (paused) this.said(row, this.dataset.paused);
    });
  }

  wish() {
    const { title, leave_out_bad_rows: leaveOut, normaliser } = this.form.elements;
    const wish = { leave_out_bad_rows: Boolean(leaveOut?.checked) };
    if (normaliser?.value) wish.normaliser = JSON.parse(normaliser.value);
    if (title && !title.disabled && title.value) wish.title = title.value;
    if (this.dataset.dataset) wish.dataset_id = this.dataset.dataset;
    return wish;
  }

  async whole(file, row) {
    const form = await this.formOf(file).catch(() => null);
    if (!form) return this.said(row, this.querySelector(".drop-error").textContent, { lost: true });
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      row.stop = () => request.abort();
      request.open("POST", this.form.action);
      request.setRequestHeader("X-CSRF-Token", this.form.elements._csrf.value);
      request.upload.onprogress = ({ loaded, total }) => this.said(row, this.progress(row, loaded, total));
      request.onload = () => {
        if (new URL(request.responseURL).pathname === "/login") return toLogin(this.form);
        const ok = request.status < 400;
        resolve(this.said(row, ok ? this.dataset.received : wrong(request.responseText), { ok, url: request.responseURL, html: request.responseText }));
      };
      request.onabort = () => resolve(this.said(row, this.dataset.cancelled, { cancelled: true }));
      request.onerror = () => resolve(this.said(row, this.querySelector(".drop-error").textContent, { lost: true }));
      if (row.cancelled) request.abort(), request.onabort();
      else request.send(form);
    });
  }

  // The hash stands before the file: the server checks what arrived against it.
  async formOf(file) {
    const form = new FormData();
    for (const name of ["_csrf", "_once"]) form.set(name, this.form.elements[name].value);
    const { title, leave_out_bad_rows: leaveOut, normaliser } = this.form.elements;
    if (title && !title.disabled) form.set("title", title.value);
    if (leaveOut?.checked) form.set("leave_out_bad_rows", "on");
    if (normaliser?.value) form.set("normaliser", normaliser.value);
    if (file.size <= PIECES_FROM_BYTES) form.set("_sha256", await hashed(file));
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
    else if (answer.lost) this.lost();
    else if (!answer.cancelled && !answer.told) this.show(answer.html);
  }

  show(html) {
    const fresh = swap(html, `#${this.id}`);
    if (!fresh.getElementById(this.id)) document.querySelector("main").replaceWith(fresh.querySelector("main"));
  }
}

// The folder that all are from, when there is one.
function folderOf(entries) {
  const tops = new Set(entries.map(({ name }) => name.split("/")).map((parts) => (parts.length > 1 ? parts[0] : "")));
  return tops.size === 1 ? [...tops][0] || undefined : undefined;
}

function shortened(names) {
  return [...names.slice(0, 8), ...(names.length > 8 ? [`… +${digits(names.length - 8)}`] : [])].join("\n");
}

// What a refusing page says beside the field, or as a whole.
function wrong(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  return (page.getElementById("file-error") ?? page.querySelector("main h1"))?.textContent.trim() ?? "";
}

customElements.define("file-drop", FileDrop);
