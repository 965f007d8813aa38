// Values as words: short, of a steady width, the same everywhere.

const NUMBER = new Intl.NumberFormat("en");

export const number = (value) => NUMBER.format(value ?? 0);

/** A span of seconds: "0.4 s", "12 s", "3 min 05 s", "2 h 04 min", "3 d 2 h". */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "\u2013";
  const value = Math.max(0, seconds);
  if (value < 9.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** The time of day: "14:02:31". */
export function clock(ms) {
  if (ms === null || ms === undefined) return "\u2013";
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
}

/** Day and time: "2026-12-01 14:02:31". */
export function moment(ms) {
  if (ms === null || ms === undefined) return "\u2013";
  const date = new Date(ms);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(ms)}`;
}

/** An amount of bytes: "812 B", "4.2 KiB". */
export function size(bytes) {
  let value = bytes ?? 0;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1024 || unit === "GiB")
      return unit === "B" ? `${value} B` : `${value.toFixed(value < 9.95 ? 1 : 0)} ${unit}`;
    value /= 1024;
  }
  return "";
}

/** A count with its noun: (1, "call") is "1 call", (2, "call") is "2 calls". */
export const counted = (value, noun, plural = `${noun}s`) => `${number(value)} ${value === 1 ? noun : plural}`;

const two = (value) => String(value).padStart(2, "0");
