// SHA-256 of what is too large to hold, piece by piece: the browser's own takes only whole buffers, and only on https. As a worker
// it is sent a file and answers its hash, so that the page stays quick.
const PIECE_BYTES = 4 << 20;
const K = new Uint32Array(64);
const START = new Uint32Array(8);

// The first 32 bits of the fractions of the cube and square roots of the first primes.
for (let number = 2, found = 0; found < 64; number++) {
  if (Array.from({ length: Math.floor(Math.sqrt(number)) - 1 }, (_, at) => at + 2).some((by) => number % by === 0)) continue;
  if (found < 8) START[found] = Math.sqrt(number) * 2 ** 32;
  K[found++] = (Math.cbrt(number) % 1) * 2 ** 32;
}

export class Sha256 {
  state = START.slice();
  words = new Uint32Array(64);
  left = new Uint8Array(64);
  held = 0;
  length = 0;

  add(bytes) {
    this.length += bytes.length;
    let at = 0;
    if (this.held) {
      at = Math.min(64 - this.held, bytes.length);
      this.left.set(bytes.subarray(0, at), this.held);
      this.held += at;
      if (this.held < 64) return this;
      this.block(this.left, 0);
      this.held = 0;
    }
    for (; at + 64 <= bytes.length; at += 64) this.block(bytes, at);
    this.left.set(bytes.subarray(at));
    this.held = bytes.length - at;
    return this;
  }

  hex() {
    const bits = this.length * 8;
    const end = new Uint8Array(((this.held + 8) >> 6 << 6) + 64 - this.held);
    end[0] = 0x80;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(end.length - 4, bits >>> 0);
    this.add(end);
    return [...this.state].map((word) => word.toString(16).padStart(8, "0")).join("");
  }

  block(bytes, at) {
    const w = this.words;
    for (let i = 0, j = at; i < 16; i++, j += 4) w[i] = (bytes[j] << 24) | (bytes[j + 1] << 16) | (bytes[j + 2] << 8) | bytes[j + 3];
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    let [a, b, c, d, e, f, g, h] = this.state;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const one = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
    }
    const state = this.state;
    state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
  }
}

export async function* pieces(file) {
  for (let at = 0; at < file.size; at += PIECE_BYTES) yield new Uint8Array(await file.slice(at, at + PIECE_BYTES).arrayBuffer());
}

export async function hashed(file) {
  const hash = new Sha256();
  for await (const piece of pieces(file)) hash.add(piece);
  return hash.hex();
}

// In a worker where there is one.
export function sha256(file) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(import.meta.url, { type: "module" });
    const end = (answer) => (worker.terminate(), resolve(answer));
    worker.onmessage = ({ data }) => (data ? end(data) : (worker.terminate(), reject(new Error("unreadable"))));
    worker.onerror = () => end(hashed(file));
    worker.postMessage(file);
  });
}

if (typeof WorkerGlobalScope !== "undefined" && self instanceof WorkerGlobalScope) {
  self.onmessage = ({ data }) => hashed(data).then(self.postMessage.bind(self), () => self.postMessage(""));
}
