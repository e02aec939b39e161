// One spelling for search, as the server folds it: Arabic and Persian letters, half-spaces, marks, digits, case.
const LETTERS = { "\u064a": "\u06cc", "\u0649": "\u06cc", "\u0643": "\u06a9", "\u0629": "\u0647", "\u06c0": "\u0647", "\u0623": "\u0627", "\u0625": "\u0627", "\u0622": "\u0627", "\u0624": "\u0648", "\u0626": "\u06cc" };

export function fold(text) {
  return text
    .replace(/[\u200b-\u200f\u064b-\u065f\u0670\u0640]/g, "")
    .replace(/[\u0620-\u06ff]/g, (letter) => LETTERS[letter] ?? letter)
    .replace(/[\u06f0-\u06f9\u0660-\u0669]/g, (digit) => String(digit.charCodeAt(0) & 15))
    .toLowerCase();
}
