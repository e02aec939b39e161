// A session that ends in mid-form loses no input: what was typed waits in this tab until the form is seen again after
// the login. Passwords and files are never kept.
import { toast } from "./toasts.js";

const NAME = "kargah.form";
const HOURS_MS = 12 * 3600 * 1000;
const body = document.body.dataset;
const NEVER = new Set(["_csrf", "_once"]);

export function keepForm(form) {
  const values = [...new FormData(form)].filter(([name, value]) => typeof value === "string" && !NEVER.has(name) && !isSecret(form, name));
  if (form.method !== "post" || !values.some(([, value]) => value.trim())) return;
  const kept = { path: location.pathname + location.search, action: addressOf(form), values, at: Date.now() };
  sessionStorage.setItem(NAME, JSON.stringify(kept));
}

// Where the login must lead back to when a form was sent without a session, or when there is none any more.
export function toLogin(form = [...document.forms].find(isFilled)) {
  if (form) keepForm(form);
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

export const isLogin = (answer) => answer.status === 401 || (answer.redirected && new URL(answer.url).pathname === "/login");

const isFilled = (form) => [...form.elements].some((element) => element.type !== "hidden" && "defaultValue" in element && element.value !== element.defaultValue);
// (A form's `action` may be its button of that name.)
const addressOf = (form) => new URL(form.getAttribute("action") ?? "", location.href).pathname;

const isSecret = (form, name) => [...form.elements].some((element) => element.name === name && element.type === "password");

function restore() {
  const kept = JSON.parse(sessionStorage.getItem(NAME) ?? "null");
  if (!kept || location.pathname === "/login" || location.pathname === "/register" || document.querySelector("[data-error]")) return;
  if (Date.now() - kept.at > HOURS_MS || !sessionStorage.getItem(`${NAME}.lost`)) return forget();
  const form = [...document.forms].find((one) => one.getAttribute("method") === "post" && addressOf(one) === kept.action);
  if (!form || location.pathname !== new URL(kept.path, location.href).pathname) return;
  forget();
  form.closest("details")?.setAttribute("open", "");
  form.closest("dialog:not([open])")?.showModal();
  fill(form, kept.values);
  toast(body.restoredText);
}

function forget() {
  sessionStorage.removeItem(NAME);
  sessionStorage.removeItem(`${NAME}.lost`);
}

function fill(form, values) {
  const given = new Map();
  for (const [name, value] of values) given.set(name, [...(given.get(name) ?? []), value]);
  for (const element of form.elements) {
    const wanted = given.get(element.name);
    if (element.type === "checkbox" || element.type === "radio") element.checked = Boolean(wanted?.includes(element.value));
    else if (element.type === "select-multiple") for (const option of element.options) option.selected = Boolean(wanted?.includes(option.value));
    else if (wanted && element.type !== "hidden" && element.type !== "file" && element.name) element.value = wanted.shift() ?? element.value;
  }
  form.dispatchEvent(new Event("input", { bubbles: true }));
}

// Sent, and answered by the login page or by an error: it was not taken, and waits.
const refused = location.pathname === "/login" || document.querySelector("[data-error]");
if (refused && sessionStorage.getItem(NAME)) sessionStorage.setItem(`${NAME}.lost`, "yes");
restore();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!event.defaultPrevented && form.closest("main, dialog") && location.pathname !== "/login" && location.pathname !== "/register") keepForm(form);
});
