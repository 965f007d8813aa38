// The contract's JSON as values of this page: counts are numbers, times are milliseconds, durations seconds, enums short
// words. Absent is zero, as the contract says. What is malformed counts as absent: a page never fails by a value.

const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** A count; int64 come as strings. Beyond 2^53 the nearest number is taken. */
export function count(value) {
  const number = typeof value === "string" && value.trim() === "" ? NaN : Number(value ?? 0);
  return Number.isFinite(number) ? number : 0;
}

/** A sequence number, exact however large. */
export function sequence(value) {
  try {
    return BigInt(value ?? 0);
  } catch {
    return 0n;
  }
}

/** Seconds of a duration such as "1.500s"; null where none is told. */
export function seconds(value) {
  const match = /^(-?\d+(?:\.\d+)?)s$/.exec(value ?? "");
  return match ? Number(match[1]) : null;
}

/** Milliseconds since 1970 of a time; null where none is told. Fractions down to the millisecond count. */
export function time(value) {
  const match = TIME.exec(value ?? "");
  const whole = match ? Date.parse(match[1] + match[3]) : NaN;
  return Number.isNaN(whole) ? null : whole + Math.floor(Number(match[2] ?? 0) * 1000);
}

/** The word of an enum's value without its prefix: ("SCHEDULING_CLASS_NORMAL", "SCHEDULING_CLASS") is "normal". */
export function word(value, prefix) {
  if (typeof value === "number") return value === 0 ? "" : `number ${value}`;
  const full = String(value ?? "");
  const short = full.startsWith(`${prefix}_`) ? full.slice(prefix.length + 1) : full;
  return short === "UNSPECIFIED" ? "" : short.toLowerCase().replaceAll("_", " ");
}

/** The bytes of a base64 value as text, as far as they are UTF-8; null where they are not. */
export function utf8(value) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes(value));
  } catch {
    return null;
  }
}

/** The bytes of a base64 value. */
export function bytes(value) {
  return Uint8Array.from(atob(value ?? ""), (letter) => letter.charCodeAt(0));
}

/** The last part of a name: "agents/a/calls/c" is "c". */
export const last = (name) =>
  String(name ?? "")
    .split("/")
    .at(-1);

/** The agent of a name: "agents/a/calls/c" is "a"; "" where it has none. */
export function agentOf(name) {
  const parts = String(name ?? "").split("/");
  return parts[0] === "agents" ? (parts[1] ?? "") : "";
}
