// Characters that are not seen, or that change how others are seen, as marks that are. Names, arguments and whatever
// else an agent writes pass here before a person decides by them.

const NAMES = new Map([
  [0x00, "NUL"],
  [0x07, "BEL"],
  [0x08, "BS"],
  [0x0b, "VT"],
  [0x0c, "FF"],
  [0x0d, "CR"],
  [0x1b, "ESC"],
  [0x7f, "DEL"],
  [0x85, "NEL"],
  [0xad, "SHY"],
  [0x61c, "ALM"],
  [0x115f, "HCF"],
  [0x1160, "HJF"],
  [0x180e, "MVS"],
  [0x200b, "ZWSP"],
  [0x200c, "ZWNJ"],
  [0x200d, "ZWJ"],
  [0x200e, "LRM"],
  [0x200f, "RLM"],
  [0x2028, "LS"],
  [0x2029, "PS"],
  [0x202a, "LRE"],
  [0x202b, "RLE"],
  [0x202c, "PDF"],
  [0x202d, "LRO"],
  [0x202e, "RLO"],
  [0x2060, "WJ"],
  [0x2066, "LRI"],
  [0x2067, "RLI"],
  [0x2068, "FSI"],
  [0x2069, "PDI"],
  [0x3164, "HF"],
  [0xfeff, "BOM"],
  [0xffa0, "HHF"],
]);
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff]|[\u{e0000}-\u{e0fff}]|\p{Cs}|\p{Co}/gu;
const STACK = /(\p{M}{3})\p{M}+/gu;

/** Return the text as pieces: `{text}` as it is, and `{mark, code}` for a character that must be shown. */
export function pieces(text, { lines = true } = {}) {
  const found = [];
  let from = 0;
  const hidden = lines ? HIDDEN : new RegExp(`${HIDDEN.source}|[\\t\\n]`, "gu");
  for (const match of text.matchAll(hidden)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push(mark(match[0].codePointAt(0)));
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found.map((piece) => (piece.text === undefined ? piece : { text: unstacked(piece.text) }));
}

function mark(code) {
  const hex = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  return { mark: NAMES.get(code) ?? (code === 9 ? "TAB" : code === 10 ? "LF" : hex), code: hex };
}

/** Leave three marks on a letter: more of them paint over the lines around. */
const unstacked = (text) => text.replace(STACK, "$1\u2026");

/** Return the text with marks as plain words, for attributes, file names and canvases. */
export function plain(text, options = { lines: false }) {
  return pieces(String(text ?? ""), options)
    .map((piece) => piece.text ?? `\u27e8${piece.mark}\u27e9`)
    .join("");
}

/** Tell whether anything in the text has to be shown as a mark. */
export const suspicious = (text) => pieces(text).some((piece) => piece.mark !== undefined);
