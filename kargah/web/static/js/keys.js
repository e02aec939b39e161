// Keys by their position on the keyboard, so that a Persian layout works too. Each has a visible way as well; single
// keys can be switched off (data-keep="keys"). What they do is read from the palette, which is made by the server.
import { kept } from "./kept.js";

const FIRST_MS = 1500;
const ROWS = "main .jobs > li, main .table tbody tr, main .list > li, main .model";
const palette = document.querySelector("command-palette");
const commands = new Map([...document.querySelectorAll("[data-keys]")].map((option) => [codesOf(option.dataset.keys), option]));
let first = "";
let waiting;

// "G D" as the codes of its keys; a question mark is the shifted slash.
function codesOf(keys) {
  return keys.split(" ").map((key) => (key === "?" ? "Shift+Slash" : `Key${key}`)).join(" ");
}

const isTyping = (target) => target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.repeat) return;
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.code === "KeyK" && palette) {
    event.preventDefault();
    palette.open();
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && !isTyping(event.target) && !document.querySelector("dialog[open]") && kept("keys")) {
    if (single(event)) event.preventDefault();
  }
});

function single(event) {
  const code = event.key === "?" ? "Shift+Slash" : (event.shiftKey ? "Shift+" : "") + event.code;
  const command = commands.get(first ? `${first} ${code}` : code);
  clearTimeout(waiting);
  first = "";
  if (command) palette.run(command);
  else if (code === "KeyG") awaitNext(code);
  else return onPage(code);
  return true;
}

function awaitNext(code) {
  first = code;
  waiting = setTimeout(() => (first = ""), FIRST_MS);
}

function onPage(code) {
  if (code === "Slash") return search();
  if (code === "KeyJ" || code === "KeyK") return step(code === "KeyJ" ? 1 : -1);
  if (code === "KeyX") return press(rowAt()?.querySelector("input[type=checkbox]"));
  if (code === "KeyP") return press(document.querySelector("main form[action$='/pause'] button, main form[action$='/resume'] button"));
  if (code === "KeyY") return press(document.querySelector("#same-cli [data-copy], #same-cli-text [data-copy]"));
  return false;
}

// The page's own search field, else the palette.
function search() {
  const field = document.querySelector("main input[type=search]");
  if (field) field.focus();
  else palette?.open();
  return true;
}

function press(button) {
  button?.click();
  return Boolean(button);
}

const rowAt = () => document.activeElement?.closest(ROWS);

function step(way) {
  const rows = [...document.querySelectorAll(ROWS)].filter((row) => row.querySelector("a[href], button, input") && row.offsetParent);
  const at = rows.indexOf(rowAt());
  const row = rows[at < 0 ? (way > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + way))];
  row?.querySelector("a[href], button, input")?.focus();
  row?.scrollIntoView({ block: "nearest" });
  return Boolean(row);
}
