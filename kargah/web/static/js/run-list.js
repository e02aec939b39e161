// Lists of runs: one question before a stop, of one or of many; rows picked for comparing stay picked when the list is fetched again.
// J and K go from row to row, X picks; keys count by their place on the keyboard.
import { digits, fill } from "./words.js";

const MOST_COMPARED = 8;
const picked = new Map(); // id → title
const dialog = document.getElementById("stop-runs");
const form = document.getElementById("picked");
const titleIn = (row) => row.querySelector(".t a").textContent;

document.addEventListener("click", (event) => {
  const stop = event.target.closest("[data-stop]");
  if (stop) {
    event.preventDefault();
    ask(new Map([[stop.dataset.stop, titleIn(stop.closest("li"))]]));
  }
  if (event.target.closest("[data-stop-picked]")) ask(picked);
});

function ask(runs) {
  const title = dialog.querySelector("h2");
  title.textContent = runs.size > 1 ? fill(title.dataset.many, { n: digits(runs.size) }) : title.dataset.one;
  const names = [...runs.values()].map((name) => Object.assign(document.createElement("bdi"), { textContent: name }));
  dialog.querySelector("#stop-runs-names").replaceChildren(...names.map((name) => wrap("li", name)));
  const ids = [...runs.keys()].map((value) => Object.assign(document.createElement("input"), { type: "hidden", name: "run", value }));
  dialog.querySelector("#stop-runs-ids").replaceChildren(...ids);
  dialog.showModal();
}

function wrap(name, child) {
  const element = document.createElement(name);
  element.append(child);
  return element;
}

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-pick]")) return;
  if (event.target.checked) picked.set(event.target.value, titleIn(event.target.closest("li")));
  else picked.delete(event.target.value);
  show();
});

function show() {
  if (!form) return;
  const count = form.querySelector("[data-count]");
  count.dataset.help ??= count.textContent;
  count.textContent = picked.size ? fill(count.dataset.count, { n: digits(picked.size) }) : count.dataset.help;
  form.querySelector("[data-compare]").disabled = picked.size < 2 || picked.size > MOST_COMPARED;
  const stop = form.querySelector("[data-stop-picked]");
  if (stop) stop.hidden = !picked.size;
}

const list = document.getElementById("run-list");
if (list) {
  new MutationObserver(() => {
    for (const box of document.querySelectorAll("[data-pick]")) if (picked.has(box.value) && !box.checked) box.checked = true;
  }).observe(list.parentElement, { childList: true });
  for (const box of document.querySelectorAll("[data-pick]:checked")) picked.set(box.value, titleIn(box.closest("li"))); // kept by the browser over a reload
  show();
}

document.addEventListener("keydown", (event) => {
  const way = { KeyJ: 1, KeyK: -1 }[event.code];
  if ((!way && event.code !== "KeyX") || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select, dialog")) return;
  const rows = [...document.querySelectorAll(".jobs > li")];
  const here = rows.indexOf(document.activeElement.closest(".jobs > li"));
  if (way) rows[Math.min(rows.length - 1, Math.max(0, here + way))]?.querySelector(".t a").focus();
  else rows[here]?.querySelector("[data-pick]")?.click();
});
