// Lists of runs: one question before a stop, of one or of many; rows picked for comparing stay picked when the list is fetched again.
// J and K go from row to row, X picks, Alt with an arrow moves a waiting one; keys count by their place on the keyboard.
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
  const act = event.target.closest("[data-act]");
  if (act) askAll(act.dataset.act);
});

function ask(runs) {
  const title = dialog.querySelector("h2");
  title.textContent = runs.size > 1 ? fill(title.dataset.many, { n: digits(runs.size) }) : title.dataset.one;
  const names = [...runs.values()].map((name) => Object.assign(document.createElement("bdi"), { textContent: name }));
  dialog.querySelector("#stop-runs-names").replaceChildren(...names.map((name) => wrap("li", name)));
  dialog.querySelector("#stop-runs-ids").replaceChildren(...named(runs));
  dialog.showModal();
}

const named = (runs) => [...runs.keys()].map((value) => Object.assign(document.createElement("input"), { type: "hidden", name: "run", value }));

// What needs no question is asked at once of all that are picked; those that cannot do it stay as they are.
function askAll(action) {
  const form = document.getElementById("act-picked");
  form.elements.action.value = action;
  form.querySelector("span").replaceChildren(...named(picked));
  form.requestSubmit();
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
  for (const act of form.querySelectorAll("[data-act]")) act.hidden = ![...picked.keys()].some((id) => canDo(id, act.dataset.act));
}

// One that is not on this page any more may do anything: the server knows.
function canDo(id, action) {
  const box = document.querySelector(`[data-pick][value="${CSS.escape(id)}"]`);
  return !box || box.dataset.can.split(" ").includes(action);
}

const list = document.getElementById("run-list");
if (list) {
  new MutationObserver(() => {
    for (const box of document.querySelectorAll("[data-pick]")) if (picked.has(box.value) && !box.checked) box.checked = true;
    show();
  }).observe(list.parentElement, { childList: true });
  for (const box of document.querySelectorAll("[data-pick]:checked")) picked.set(box.value, titleIn(box.closest("li"))); // kept by the browser over a reload
  show();
}

document.addEventListener("keydown", (event) => {
  const to = event.altKey && { ArrowUp: "up", ArrowDown: "down", Home: "first" }[event.key];
  const button = to && event.target.closest(".jobs > li")?.querySelector(`[value="move-${to}"]`);
  if (!button) return;
  event.preventDefault();
  button.focus();
  button.click();
});

document.addEventListener("keydown", (event) => {
  const way = { KeyJ: 1, KeyK: -1 }[event.code];
  if ((!way && event.code !== "KeyX") || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select, dialog")) return;
  const rows = [...document.querySelectorAll(".jobs > li")];
  const here = rows.indexOf(document.activeElement.closest(".jobs > li"));
  if (way) rows[Math.min(rows.length - 1, Math.max(0, here + way))]?.querySelector(".t a").focus();
  else rows[here]?.querySelector("[data-pick]")?.click();
});
