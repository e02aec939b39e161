// The page's one event stream. Every event reaches `document` as "kargah:event"; parts marked [data-live] are then
// fetched again from the server, at most once a second, so that every word and figure is made in one place.
import { swap } from "./swap.js";
import { digits, fill } from "./words.js";

const RETRY_SECONDS = 3;
const REFRESH_MS = 1000;
const LAST_WORDS = new Set(["Finished", "Failed", "Stopped"]);
const body = document.body.dataset;

class Stream {
  constructor(address) {
    this.address = new URL(address, location.href);
    this.address.searchParams.set("bell", "true");
    this.oneJob = this.address.pathname.includes("/jobs/");
    this.open();
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
  }

  open() {
    this.close();
    if (this.ended) return;
    this.source = new EventSource(this.address);
    this.source.onopen = () => this.say("on", body.liveText);
    this.source.onmessage = (event) => this.take(event);
    this.source.addEventListener("machine", (event) => document.dispatchEvent(new CustomEvent("kargah:machine", { detail: JSON.parse(event.data) })));
    this.source.addEventListener("unread", (event) => document.dispatchEvent(new CustomEvent("kargah:unread", { detail: JSON.parse(event.data).unread })));
    this.source.onerror = () => this.lost(RETRY_SECONDS);
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
  }

  take(message) {
    const event = JSON.parse(message.data);
    if (message.lastEventId) this.address.searchParams.set("since", message.lastEventId);
    document.dispatchEvent(new CustomEvent("kargah:event", { detail: event }));
    if (this.oneJob && LAST_WORDS.has(event.kind)) this.end();
    refresh();
  }

  // A server that goes away, or answers with an error, is asked again from the last position: nothing is missed.
  lost(seconds) {
    this.close();
    if (this.ended) return;
    this.say("off", fill(body.lostText, { s: digits(seconds) }));
    this.timer = setTimeout(() => (seconds > 1 ? this.lost(seconds - 1) : this.open()), 1000);
  }

  end() {
    this.ended = true;
    this.close();
    this.say("ended", body.endedText);
  }

  say(state, text) {
    document.documentElement.dataset.stream = state;
    const place = document.getElementById("live");
    if (!place || place.textContent === text) return;
    place.textContent = text;
    place.classList.toggle("off", state === "off");
    place.classList.toggle("ended", state === "ended");
  }
}

let last = 0;
let timer = null;

export function refresh() {
  if (timer !== null) return;
  const wait = Math.max(120, last + REFRESH_MS - Date.now());
  timer = setTimeout(fetchParts, wait);
}

async function fetchParts() {
  if (document.hidden) {
    document.addEventListener("visibilitychange", fetchParts, { once: true });
    return;
  }
  last = Date.now();
  timer = null;
  const before = stateWord();
  try {
    const answer = await fetch(body.parts ?? location.href, { headers: { Accept: "text/html" } });
    if (answer.ok) document.title = swap(await answer.text(), "[data-live]").title || document.title;
  } catch {
    refresh(); // the network is away: the stream says so, and this is asked again
  }
  const place = document.getElementById("said");
  if (place && stateWord() !== before) place.textContent = stateWord();
}

const stateWord = () => document.querySelector("[data-state]")?.textContent ?? "";

if (body.stream) new Stream(body.stream);
