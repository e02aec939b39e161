// Many files as one zip, not compressed: its parts are the files themselves, so nothing is held in memory. The same files make
// the same zip, or a broken upload of it could not be gone on with.
import { pieces } from "./sha256.js";

const LARGEST_BYTES = 0xffffffff;
const MOST_FILES = 0xffff;
const UTF8 = 0x800;
const MIDNIGHT_1980 = 0x21;
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

// `entries`: [{name, file}]. Null when a zip of this kind cannot hold them.
export async function zipped(entries, name) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const entry of [...entries].sort((one, other) => (one.name < other.name ? -1 : 1))) {
    const path = new TextEncoder().encode(entry.name);
    const about = numbers([[20, 2], [UTF8, 2], [0, 2], [0, 2], [MIDNIGHT_1980, 2], [await crc(entry.file), 4], [entry.file.size, 4], [entry.file.size, 4], [path.length, 2], [0, 2]]);
    directory.push(numbers([[0x02014b50, 4], [20, 2]]), about, numbers([[0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]]), path);
    parts.push(numbers([[0x04034b50, 4]]), about, path, entry.file);
    offset += 4 + about.length + path.length + entry.file.size;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  if (offset + size > LARGEST_BYTES || entries.length > MOST_FILES) return null;
  const end = numbers([[0x06054b50, 4], [0, 2], [0, 2], [entries.length, 2], [entries.length, 2], [size, 4], [offset, 4], [0, 2]]);
  return new File([...parts, ...directory, end], name, { lastModified: Math.max(...entries.map(({ file }) => file.lastModified)) });
}

async function crc(file) {
  let sum = -1;
  for await (const piece of pieces(file)) for (let i = 0; i < piece.length; i++) sum = TABLE[(sum ^ piece[i]) & 0xff] ^ (sum >>> 8);
  return ~sum >>> 0;
}

function numbers(fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}
