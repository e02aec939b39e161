// What all pages share: dialogs, tabs, copying, theme, forms that are sent once, parts that are exchanged in place.
import "./live.js";
import "./palette.js";
import "./keys.js";
import "./notify.js";
import { isLogin, toLogin } from "./kept-form.js";
import { latin } from "./words.js";
import { swap } from "./swap.js";
import { sayNotice, toast } from "./toasts.js";

const root = document.documentElement;

document.addEventListener("click", async (event) => {
  const hit = (selector) => event.target.closest(selector);
  const opener = hit("[data-open]");
  if (opener) document.getElementById(opener.dataset.open)?.showModal();
  if (hit("[data-close]")) hit("dialog").close();
  const tab = hit("[role=tab]");
  if (tab) pick(tab);
  const moment = hit("time[title]");
  if (moment && !moment.closest("a, button")) [moment.textContent, moment.title] = [moment.title, moment.textContent];
  const copy = hit("[data-copy]");
  if (copy) await copyFrom(copy);
});

document.addEventListener("keydown", (event) => {
  const tab = event.target.closest?.("[role=tab]");
  const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!tab || !way) return;
  const tabs = [...tab.parentElement.children];
  const forward = getComputedStyle(tab).direction === "rtl" ? -way : way;
  pick(tabs[(tabs.indexOf(tab) + forward + tabs.length) % tabs.length]).focus();
});

function pick(tab) {
  for (const other of tab.parentElement.children) {
    other.setAttribute("aria-selected", other === tab);
    other.tabIndex = other === tab ? 0 : -1;
    const panel = document.getElementById(other.getAttribute("aria-controls"));
    if (panel) panel.hidden = other !== tab;
  }
  return tab;
}

// Read in Persian, copied in Latin.
async function copyFrom(button) {
  const source = button.dataset.copy || button.parentElement.querySelector("pre, .copied").textContent;
  const isCopied = await put(latin(source));
  toast(isCopied ? document.body.dataset.copiedText : document.body.dataset.notCopiedText, { bad: !isCopied });
  if (!isCopied) return;
  const use = button.querySelector("use");
  const before = use?.getAttribute("href");
  use?.setAttribute("href", before.replace(/#.*/, "#i-check"));
  setTimeout(() => use?.setAttribute("href", before), 1200);
}

// The clipboard proper is only there on https and on this machine; a workshop on the local network has the older way.
async function put(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const field = document.createElement("textarea");
  field.className = "vh";
  field.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.matches("[data-theme-form]")) {
    event.preventDefault();
    flipTheme(form);
  } else if (form.matches("[data-swap]")) {
    event.preventDefault();
    await sendInPlace(form, event.submitter);
  } else if (form.getAttribute("method") === "post" && !event.defaultPrevented) {
    if (form.hasAttribute("data-once-sent")) event.preventDefault();
    form.setAttribute("data-once-sent", "");
    event.submitter?.setAttribute("aria-busy", "true");
  }
});

addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-once-sent]")) {
    form.removeAttribute("data-once-sent");
    form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
  }
});

function flipTheme(form) {
  const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const button = form.querySelector("button");
  root.dataset.theme = button.value = now === "dark" ? "light" : "dark";
  fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, button)), redirect: "manual" });
}

// The same form works as a whole page; here only the named part of the answer is put in place.
async function sendInPlace(form, button) {
  button?.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body: new URLSearchParams(new FormData(form, button)) });
    if (isLogin(answer)) toLogin(form);
    else sayNotice(swap(await answer.text(), form.getAttribute("data-swap")));
    form.closest(".toast")?.remove();
  } finally {
    button?.removeAttribute("aria-busy");
  }
}

// (A form's `dataset` may be its field of that name: attributes are asked for by getAttribute.)
// A form whose parts depend on each other (which data, which recipe) asks the server for the page with what is filled in.
let waiting;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-follow]");
  if (!form) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => follow(form, event.target), event.target.matches("[type=text], textarea") ? 350 : 0);
});

async function follow(form, changed) {
  const filled = new URLSearchParams(new FormData(form));
  for (const own of ["_csrf", "_once"]) filled.delete(own);
  filled.set("changed", changed.name);
  const answer = await fetch(`${form.getAttribute("data-follow")}?${filled}`);
  if (isLogin(answer)) toLogin(form);
  else if (answer.ok) swap(await answer.text(), changed.matches("[data-reshapes]") ? "[data-live]" : "[data-live]:not([data-shape])");
}

for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;

// A question that came back with something wrong in it is asked again, as it was asked at first.
const wrong = document.querySelector("dialog[open]");
if (wrong) {
  wrong.close();
  wrong.showModal();
}

// A stop asked for in a list lands here with the question open.
if (location.hash === "#stop" && document.querySelector("[data-open=halt]")) document.getElementById("halt").showModal();
