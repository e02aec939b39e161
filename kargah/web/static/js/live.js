// The page's one event stream. Every event reaches `document` as "kargah:event"; parts marked [data-live] are then
// fetched again from the server, at most once a second, so that every word and figure is made in one place.
import { isLogin, toLogin } from "./kept-form.js";
import { swap } from "./swap.js";
import { digits, fill } from "./words.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
const TICK_MS = 500;
// The server says something at least every 15 s: a line that is silent for longer is dead, also when nobody told this browser.
const SILENCE_MS = 40_000;
// A connection that held for so long was a good one: the next try after it comes soon.
const STEADY_MS = 10_000;
// A browser allows one host about six connections. A page that nobody sees gives its own back and looks in from time to time.
const UNSEEN_MS = 10_000;
const LOOK_EVERY_MS = 30_000;
const LOOK_MS = 2000;
const REFRESH_MS = 1000;
// A press whose release this page did not see (outside the window, a menu) is over when a pointer moves with nothing pressed, or after so long.
const LONGEST_PRESS_MS = 30_000;
const LAST_WORDS = new Set(["Finished", "Failed", "Stopped"]);
const body = document.body.dataset;
const place = document.getElementById("live");
const again = document.getElementById("reconnect");
const tell = (name, detail) => document.dispatchEvent(new CustomEvent(`kargah:${name}`, { detail }));

// Later each time, and never at the same moment as the other pages that wait for the same server.
const waitAfter = (failures) => Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures) * (0.75 + Math.random() / 2);

// state: "connecting", "on", "off" (waits until `at`), "asleep" (nobody looks; waits until `at`), "ended" or "out" (no session any more).
class Stream {
  constructor(address) {
    this.address = new URL(address, location.href);
    this.address.searchParams.set("bell", "true");
    this.oneJob = this.address.pathname.includes("/jobs/");
    this.failures = 0;
    this.unseenSince = document.hidden ? Date.now() : null;
    this.open();
    setInterval(() => this.tick(), TICK_MS);
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.wake());
    addEventListener("online", () => this.wake());
    document.addEventListener("resume", () => this.wake());
    document.addEventListener("visibilitychange", () => {
      this.unseenSince = document.hidden ? Date.now() : null;
      this.wake();
    });
    again?.addEventListener("click", () => (this.state === "out" ? toLogin() : this.open()));
  }

  get over() {
    return this.state === "ended" || this.state === "out";
  }

  open() {
    this.close();
    if (this.over) return;
    this.heardAt = this.openedAt = Date.now();
    const source = (this.source = new EventSource(this.address));
    source.onopen = () => this.opened();
    source.onmessage = (message) => this.take(message);
    for (const name of ["beat", "machine", "unread"]) source.addEventListener(name, (message) => this.hear(name, message));
    source.onerror = () => this.lost(source.readyState === EventSource.CLOSED);
    if (this.state !== "asleep") this.say("connecting", this.state ? body.connectingText : body.liveText);
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  opened() {
    this.heardAt = this.openedAt = Date.now();
    this.say("on", body.liveText);
    if (this.wasLost) reconnected();
    this.wasLost = false;
  }

  hear(name, message) {
    this.heardAt = Date.now();
    if (name !== "beat") tell(name, name === "unread" ? JSON.parse(message.data).unread : JSON.parse(message.data));
  }

  take(message) {
    this.heardAt = Date.now();
    const event = JSON.parse(message.data);
    if (message.lastEventId) this.address.searchParams.set("since", message.lastEventId);
    tell("event", event);
    if (this.oneJob && LAST_WORDS.has(event.kind)) this.end("ended", body.endedText);
    refresh();
  }

  // A server that goes away, or answers with an error, is asked again from the last position: nothing is missed.
  lost(answered) {
    this.close();
    if (this.over) return;
    this.wasLost = true;
    this.failures = Date.now() - this.openedAt > STEADY_MS ? 0 : this.failures + 1;
    this.at = Date.now() + waitAfter(this.failures);
    this.say("off", this.countdown);
    if (answered) this.askSession();
  }

  get countdown() {
    return fill(body.lostText, { s: digits(Math.max(1, Math.ceil((this.at - Date.now()) / 1000))) });
  }

  // Timers of a page that nobody sees, or of a computer that slept, come late: what counts is the time, not how often this ran.
  tick() {
    const now = Date.now();
    if (this.over) return;
    if (this.source && now - this.heardAt > SILENCE_MS) this.lost(false);
    else if (this.state === "on" && this.isUnseen && now - this.openedAt > LOOK_MS) this.sleep();
    else if (!this.source && now >= this.at) this.open();
    else if (this.state === "off") this.say("off", this.countdown);
  }

  get isUnseen() {
    return this.unseenSince !== null && Date.now() - this.unseenSince > UNSEEN_MS;
  }

  sleep() {
    this.close();
    this.at = Date.now() + LOOK_EVERY_MS;
    this.say("asleep", body.liveText);
  }

  // Somebody looks again, or the network is back: no need to wait, but for pages that nobody sees.
  wake() {
    if (document.hidden || this.over) return;
    if (!this.source || Date.now() - this.heardAt > SILENCE_MS) this.open();
  }

  // A stream that is refused may be so because the session has ended: then no waiting helps.
  async askSession() {
    const answer = await fetch("/api/v1/auth/me", { headers: { Accept: "application/json" } }).catch(() => null);
    if (answer?.status === 401) this.end("out", body.outText);
  }

  end(state, text) {
    this.close();
    this.say(state, text);
  }

  // Only a change of the state is announced, not every second of a countdown.
  say(state, text) {
    const isNews = state !== this.state;
    this.state = document.documentElement.dataset.stream = state;
    if (again) again.hidden = state !== "off" && state !== "out";
    if (!place || place.textContent === text) return;
    place.setAttribute("aria-live", isNews ? "polite" : "off");
    place.textContent = text;
    place.classList.toggle("off", state === "off" || state === "out");
    place.classList.toggle("ended", state === "ended");
  }
}

let last = 0;
let timer = null;
let failures = 0;
let asked = 0;
let shown = 0;
let pressedAt = 0;

// A link or button that is put anew between the press on it and the release would never hear of the click.
addEventListener("pointerdown", () => (pressedAt = Date.now()), true);
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => (pressedAt = 0), true);
addEventListener("pointermove", (event) => event.buttons || (pressedAt = 0), true);

async function released() {
  while (Date.now() - pressedAt < LONGEST_PRESS_MS) await new Promise((resolve) => setTimeout(resolve, 50));
}

export function refresh() {
  if (timer === null) later(Math.max(120, last + REFRESH_MS - Date.now()));
}

function later(wait) {
  clearTimeout(timer);
  timer = setTimeout(fetchParts, document.hidden ? Math.max(wait, LOOK_EVERY_MS) : wait);
}

document.addEventListener("visibilitychange", () => timer !== null && !document.hidden && later(0));

function reconnected() {
  tell("reconnected");
  failures = 0;
  later(0);
}

// While the server is away the parts stay as they are, and are asked for again later each time.
async function fetchParts() {
  last = Date.now();
  timer = null;
  const mine = ++asked;
  const before = stateWord();
  const answer = await fetch(body.parts ?? location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  const html = answer?.ok ? await answer.text().catch(() => null) : null;
  await released();
  if (html !== null && !isLogin(answer) && mine > shown) {
    shown = mine; // an older answer that comes, or has waited, longer is not put over it
    document.title = swap(html, "[data-live]").title || document.title;
  }
  const isRefused = answer && !answer.ok && answer.status < 500 && answer.status !== 429;
  if (html !== null || isRefused) failures = 0;
  else if (timer === null) later(waitAfter(failures++));
  const said = document.getElementById("said");
  if (said && stateWord() !== before) said.textContent = stateWord();
}

const stateWord = () => document.querySelector("[data-state]")?.textContent ?? "";

if (body.stream) new Stream(body.stream);
