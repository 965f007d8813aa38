// A timeline drawn by hand: rows of bars over time, and how many waited below, on a scale of its own.

import { plain } from "./marks.js";

const AXIS = 20;
const STRIP = 34;
const GAP = 2;

/** Return where bars are drawn: `{x, y, width, height, bar}` for rows that have a place in `rows` (key to index). */
export function layout(bars, { from, to, left, width, rows, row, rowOf }) {
  const scale = (width - left) / (to - from);
  const made = [];
  for (const bar of bars) {
    const place = rows.get(rowOf(bar));
    const end = bar.to ?? to;
    if (place === undefined || end < from || bar.from > to) continue;
    const x = left + Math.max(0, bar.from - from) * scale;
    const right = left + Math.min(to - from, end - from) * scale;
    made.push({ x, y: place * row + 1, width: Math.max(1.5, right - x - 0.5), height: row - GAP, bar });
  }
  return made;
}

/** Return the bar at a point; the one drawn last where several are. */
export const hit = (boxes, x, y) =>
  boxes.findLast((box) => x >= box.x - 1 && x <= box.x + box.width + 1 && y >= box.y && y <= box.y + box.height)?.bar ??
  null;

/** Return times of grid lines and their distance, for some six of them. */
export function ticks(from, to) {
  const span = (to - from) / 1000;
  const step =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400].find((each) => span / each <= 8) ??
    86400 * Math.ceil(span / 86400 / 8);
  const found = [];
  for (let at = Math.ceil(from / 1000 / step) * step * 1000; at <= to; at += step * 1000) found.push(at);
  return { step, found };
}

/** Draw. `theme` names the colours, `style(bar)` returns the name of a bar's. Returns the boxes drawn. */
export function draw(
  canvas,
  {
    bars,
    rows,
    labels,
    depths = null,
    from,
    to,
    theme,
    rowOf,
    style,
    relative = true,
    lit = null,
    ratio = window.devicePixelRatio || 1,
  },
) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = theme.font;
  pen.textBaseline = "middle";
  const left = gutter(pen, labels);
  const room = height - AXIS - (depths ? STRIP : 0);
  const row = Math.max(4, Math.min(34, room / Math.max(1, labels.length)));
  grid(pen, { from, to, left, width, height, relative, theme });
  names(pen, labels, row, theme, left);
  const boxes = layout(bars, { from, to, left, width, rows, row, rowOf });
  for (const box of boxes) {
    const colour = theme[style(box.bar)] ?? theme.run;
    pen.globalAlpha = lit && lit !== box.bar.agent ? 0.25 : 1;
    pen.fillStyle = colour;
    pen.fillRect(box.x, box.y, box.width, box.height);
    if (box.bar.end === "stopped") {
      // the end that a preemption made is notched: not by colour alone
      pen.fillStyle = theme.stopped;
      pen.fillRect(box.x + box.width - 3, box.y, 3, box.height);
    }
    if (box.width > 60 && box.height >= 13 && box.bar.label !== "") label(pen, box, theme);
  }
  pen.globalAlpha = 1;
  if (depths) strip(pen, depths, { from, to, left, width, top: room, theme });
  return boxes;
}

/** Return the room of the names: as much as the longest needs, within bounds. */
const gutter = (pen, labels) =>
  Math.min(
    190,
    Math.max(112, ...labels.slice(0, 64).map((text) => Math.ceil(pen.measureText(plain(text)).width) + 14)),
  );

function grid(pen, { from, to, left, width, height, relative, theme }) {
  const { found, step } = ticks(from, to);
  pen.strokeStyle = theme.line;
  pen.fillStyle = theme.quiet;
  pen.textAlign = "center";
  for (const at of found) {
    const x = Math.round(left + ((at - from) / (to - from)) * (width - left)) + 0.5;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, height - AXIS);
    pen.stroke();
    const text = relative && step < 60 ? clock(at, true) : clock(at, step < 60);
    if (x > left + 20 && x < width - 24) pen.fillText(text, x, height - AXIS / 2);
  }
}

function clock(at, exact) {
  const date = new Date(at);
  const parts = [date.getHours(), date.getMinutes(), ...(exact ? [date.getSeconds()] : [])];
  return parts.map((each) => String(each).padStart(2, "0")).join(":");
}

function names(pen, labels, row, theme, left) {
  pen.textAlign = "left";
  pen.fillStyle = theme.quiet;
  const every = Math.max(1, Math.ceil(14 / row));
  labels.forEach((text, place) => {
    if (place % every === 0) pen.fillText(short(pen, plain(text), left - 12), 0, place * row + row / 2 + 0.5);
  });
}

function label(pen, box, theme) {
  pen.fillStyle = theme.ink;
  pen.textAlign = "left";
  pen.fillText(
    short(pen, plain(box.bar.label ?? box.bar.agent), box.width - 10),
    box.x + 5,
    box.y + box.height / 2 + 0.5,
  );
}

function short(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let end = Math.min(text.length, Math.floor(width / 5));
  while (end > 1 && pen.measureText(`${text.slice(0, end)}\u2026`).width > width) end -= 1;
  return `${text.slice(0, end)}\u2026`;
}

function strip(pen, depths, { from, to, left, width, top, theme }) {
  const most = Math.max(1, ...depths.filter((each) => each.at >= from).map((each) => each.waiting));
  const base = top + STRIP - 1;
  const high = STRIP - 10;
  const x = (at) => left + Math.max(0, Math.min(1, (at - from) / (to - from))) * (width - left);
  pen.fillStyle = theme.quiet;
  pen.textAlign = "left";
  pen.fillText(`waiting, up to ${most}`, 0, top + STRIP / 2 + 2);
  pen.fillStyle = theme.wait;
  depths.forEach((each, place) => {
    const end = depths[place + 1]?.at ?? to;
    if (end < from || each.at > to) return;
    const tall = each.waiting ? Math.max(1, (each.waiting / most) * high) : 0;
    const left = Math.floor(x(each.at));
    pen.fillRect(left, base - tall, Math.max(1, Math.ceil(x(end)) - left), tall);
  });
  pen.fillStyle = theme.line;
  pen.fillRect(left, base, width - left, 1);
}
