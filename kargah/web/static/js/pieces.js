// One large file on its way, in pieces: a dropped link, a closed tab or a server that starts anew go on from the last byte that
// arrived. Knows no page; `told` hears {done, total} and what happens to the link: "lost", "back".
import { Sha256, sha256 } from "./sha256.js";

const HEAD_BYTES = 1 << 20;
const LONGEST_WAIT_MS = 30_000;
const PASSING = new Set([0, 408, 409, 425, 429, 500, 502, 503, 504]);

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? String(status));
    this.status = status;
  }
}
export class Cancelled extends Error {}

// What this browser knows a file by, without reading all of it.
export async function markOf(file) {
  const head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  return `${file.size}-${file.lastModified}-${new Sha256().add(head).hex()}`;
}

export class Sending {
  constructor(address, csrf, file, told) {
    Object.assign(this, { address, csrf, file, told, failed: 0 });
  }

  // What was made of it: {dataset_id …}. Throws Refused, Cancelled.
  async run(wish) {
    const hash = sha256(this.file);
    hash.catch(() => {}); // asked for at the end
    const begun = { filename: this.file.name, size_bytes: this.file.size, fingerprint: await markOf(this.file) };
    this.upload = await this.patiently(() => this.ask("POST", this.address, begun));
    let offset = this.upload.offset;
    this.told({ done: offset, total: this.file.size });
    while (offset < this.file.size) offset = await this.patiently(() => this.piece(offset), async () => (offset = await this.arrived(offset)));
    return this.patiently(async () => this.ask("POST", `${this.own}/finish`, { ...wish, sha256: await hash }));
  }

  get own() {
    return `${this.address}/${this.upload.id}`;
  }

  pause() {
    this.waiting ??= new Promise((resolve) => (this.goOn = resolve));
    this.request?.abort();
  }

  resume() {
    this.goOn?.();
    this.waiting = this.goOn = undefined;
  }

  cancel() {
    this.isCancelled = true;
    this.request?.abort();
    this.resume();
    this.wake?.();
  }

  // A piece that broke off counts as far as it came.
  piece(offset) {
    const end = Math.min(offset + this.upload.chunk_bytes, this.file.size);
    const headers = { "Upload-Offset": offset, "Content-Type": "application/offset+octet-stream" };
    const onprogress = ({ loaded }) => this.told({ done: Math.min(offset + loaded, end), total: this.file.size });
    return this.send("PATCH", this.own, this.file.slice(offset, end), headers, onprogress).then((request) => Number(request.getResponseHeader("Upload-Offset")));
  }

  async arrived(otherwise) {
    try {
      return (await this.ask("GET", this.own)).offset;
    } catch (error) {
      if (error instanceof Refused && PASSING.has(error.status)) return otherwise;
      throw error;
    }
  }

  async ask(method, address, body) {
    const request = await this.send(method, address, body && JSON.stringify(body), { "Content-Type": "application/json" });
    return request.responseText ? JSON.parse(request.responseText) : null;
  }

  // Tries again while trying helps; `after` is done before each new try, and what it answers is an answer too.
  async patiently(work, after) {
    for (;;) {
      await this.waiting;
      if (this.isCancelled) throw new Cancelled();
      try {
        const answer = await work();
        if (this.failed) this.told({ link: "back" });
        this.failed = 0;
        return answer;
      } catch (error) {
        if (this.isCancelled) throw new Cancelled();
        if (!(error instanceof Refused) || !PASSING.has(error.status)) throw error;
        if (!this.waiting) await this.rest();
        if (after && !this.isCancelled) await after();
      }
    }
  }

  async rest() {
    this.told({ link: "lost" });
    const ms = Math.min(LONGEST_WAIT_MS, 500 * 2 ** this.failed++);
    await new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, ms);
      addEventListener("online", resolve, { once: true });
    });
  }

  send(method, address, body, headers, onprogress) {
    return new Promise((resolve, reject) => {
      const request = (this.request = new XMLHttpRequest());
      request.open(method, address);
      for (const [name, value] of Object.entries({ ...headers, "X-CSRF-Token": this.csrf })) request.setRequestHeader(name, value);
      request.upload.onprogress = onprogress ?? null;
      request.onload = () => (request.status < 400 ? resolve(request) : reject(new Refused(request.status, problemOf(request))));
      request.onerror = request.onabort = request.ontimeout = () => reject(new Refused(0, {}));
      request.send(body ?? null);
    });
  }
}

// With all that has arrived of it.
export async function giveUp(sending) {
  sending.isCancelled = false;
  if (sending.upload) await sending.ask("DELETE", sending.own).catch(() => {});
}

function problemOf(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return {};
  }
}
