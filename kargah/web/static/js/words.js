// Digits and numbers in the page's language. Texts come from the page: this folder holds no words.
export const language = document.documentElement.lang;

export function digits(text) {
  return language === "fa" ? String(text).replace(/[0-9]/g, (d) => String.fromCharCode(0x6f0 + Number(d))).replaceAll(".", "٫").replaceAll(",", "٬").replaceAll("%", "٪") : String(text);
}

export function latin(text) {
  return text.replace(/[۰-۹]/g, (d) => d.charCodeAt(0) - 0x6f0).replaceAll("٫", ".").replaceAll("٬", "").replaceAll("٪", "%");
}

// At most four significant figures, so that an axis and a tooltip stay short: 0.0312, 1.26e-5, 12,400.
export function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return String(Number(value.toPrecision(4)));
}

// For reading, on an axis or in a legend. Among Persian digits the letter of an exponent has no place: small figures are written
// out and great ones counted in millions, as a whole from right to left. A minus stays at the left in both directions.
export function reading(value) {
  const size = Math.abs(value ?? 0);
  const outOfReach = size !== 0 && (size < 1e-12 || size >= 1e15);
  if (value === null || value === undefined || language !== "fa" || outOfReach) return short(value);
  const text = size >= 1e7 ? `\u2067${millions.format(size)}\u2069` : digits(size !== 0 && size < 1e-3 ? small.format(size) : short(size));
  return value < 0 ? `\u200e\u2212${text}` : text;
}

const millions = new Intl.NumberFormat("fa", { notation: "compact", maximumSignificantDigits: 3 });
const small = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

// What would turn the text around it, by its code; as i18n.visible on the server.
export const visible = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, (mark) => `⟨U+${mark.charCodeAt(0).toString(16).toUpperCase()}⟩`);

export function fill(text, places) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => places[name] ?? whole);
}
