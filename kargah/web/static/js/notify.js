// A training that ends while one looks elsewhere: a mark on the tab's icon and, when it is allowed and wanted, a notification.
import { kept, keep } from "./kept.js";
import { digits, fill } from "./words.js";

const ENDS = new Set(["Finished", "Failed", "Stopped"]);
const body = document.body.dataset;
const icon = document.querySelector("link[rel=icon]");
const plain = icon?.getAttribute("href");

document.addEventListener("kargah:event", ({ detail: event }) => {
  if (!ENDS.has(event.kind) || !document.hidden) return;
  mark(event.kind === "Finished" ? "mark-done.svg" : "mark-bad.svg");
  if (kept("notify", false) && "Notification" in window && Notification.permission === "granted") tell(event);
});

document.addEventListener("visibilitychange", () => !document.hidden && mark("mark.svg"));

function mark(name) {
  icon?.setAttribute("href", plain.replace(/mark\.svg$/, name));
}

function tell(event) {
  const text = { Finished: body.finishedText, Failed: body.failedText, Stopped: body.stoppedText }[event.kind];
  const note = new Notification(text, { body: document.title, tag: event.job_id, lang: document.documentElement.lang, dir: document.documentElement.dir });
  note.onclick = () => {
    window.focus();
    note.close();
  };
}

// The switch asks the browser for leave; without it the switch goes back.
document.addEventListener("change", async (event) => {
  if (event.target.dataset?.keep !== "notify" || !event.target.checked) return;
  const allowed = "Notification" in window && (await Notification.requestPermission()) === "granted";
  if (allowed) return;
  event.target.checked = false;
  keep("notify", false);
  const why = document.getElementById("notify-why");
  if (why) why.hidden = false;
});

// The bell: how many notices are unread. It comes with the page's stream; a page without one asks once.
const bell = document.getElementById("bell");

function ring(unread) {
  const count = bell.querySelector(".n");
  count.hidden = unread === 0;
  count.textContent = digits(Math.min(unread, 99));
  bell.setAttribute("aria-label", unread ? fill(bell.dataset.text, { n: digits(unread) }) : bell.title);
}

async function askUnread() {
  const answer = await fetch("/api/v1/notices?limit=1", { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.ok) ring((await answer.json()).unread);
}

if (bell) document.addEventListener("kargah:unread", (event) => ring(event.detail));
if (bell && !body.stream) askUnread();
