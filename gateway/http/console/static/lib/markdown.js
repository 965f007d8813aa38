// A little of Markdown as elements, never as markup: paragraphs, headings, lists, quotes, code, bold, emphasis, and
// links to http(s) that show where they lead. No images: they would tell their host who reads.

import { h } from "./dom.js";
import { marked } from "./text.js";

const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*|!?\[([^\]\n]{1,500})\]\(([^()\s]{1,2000})\)/;
const DEEPEST = 4;

/** Return the text as children for `h`. */
export function markdown(text) {
  const made = [];
  const lines = String(text ?? "").split("\n");
  let at = 0;
  while (at < lines.length) {
    const fence = /^\s{0,3}(```+|~~~+)/.exec(lines[at]);
    if (fence) {
      const end = lines.findIndex((each, place) => place > at && each.trimStart().startsWith(fence[1]));
      const stop = end === -1 ? lines.length : end;
      made.push(
        h("pre", { class: "code", tabindex: "0" }, marked(lines.slice(at + 1, stop).join("\n"), { lines: true })),
      );
      at = stop + 1;
      continue;
    }
    const taken = run(lines, at);
    if (taken.length) made.push(part(taken));
    at += Math.max(1, taken.length);
  }
  return made;
}

const KINDS = [
  [/^#{1,6}\s+/, (lines) => h("p", { class: "heading" }, inline(lines[0].replace(/^#+\s+/, "")))],
  [
    /^\s*[-*+]\s+/,
    (lines) =>
      h(
        "ul",
        {},
        lines.map((each) => h("li", {}, inline(each.replace(/^\s*[-*+]\s+/, "")))),
      ),
  ],
  [
    /^\s*\d{1,9}[.)]\s+/,
    (lines) =>
      h(
        "ol",
        { start: Number.parseInt(lines[0], 10) },
        lines.map((each) => h("li", {}, inline(each.replace(/^\s*\d+[.)]\s+/, "")))),
      ),
  ],
  [/^\s*>\s?/, (lines) => h("blockquote", {}, broken(lines.map((each) => each.replace(/^\s*>\s?/, ""))))],
];
const kind = (line) => KINDS.findIndex(([pattern]) => pattern.test(line));

/** Return the lines from `at` on that belong together; none for an empty line. */
function run(lines, at) {
  if (lines[at].trim() === "") return [];
  const first = kind(lines[at]);
  if (first === 0) return [lines[at]];
  let end = at + 1;
  while (
    end < lines.length &&
    lines[end].trim() !== "" &&
    kind(lines[end]) === first &&
    !/^\s{0,3}(```|~~~)/.test(lines[end])
  )
    end += 1;
  return lines.slice(at, end);
}

function part(lines) {
  const found = kind(lines[0]);
  return found === -1 ? h("p", {}, broken(lines)) : KINDS[found][1](lines);
}

const broken = (lines) => lines.flatMap((each, place) => (place ? [h("br"), inline(each)] : [inline(each)]));

function inline(text, depth = 0) {
  const made = [];
  let rest = text;
  while (rest) {
    const match = depth < DEEPEST ? INLINE.exec(rest) : null;
    if (!match) break;
    made.push(marked(rest.slice(0, match.index), { lines: true }), span(match, depth + 1));
    rest = rest.slice(match.index + match[0].length);
  }
  made.push(marked(rest, { lines: true }));
  return made;
}

function span([whole, code, bold, slanted, words, url], depth) {
  if (code !== undefined) return h("code", {}, marked(code, { lines: true }));
  if (bold !== undefined) return h("strong", {}, inline(bold, depth));
  if (slanted !== undefined) return h("em", {}, inline(slanted, depth));
  const target = safe(url);
  if (!target) return marked(whole, { lines: true });
  return h(
    "a",
    { href: target.href, rel: "noreferrer noopener nofollow", target: "_blank" },
    whole.startsWith("!") ? "image: " : null,
    inline(words, depth),
    h("span", { class: "host" }, ` (${target.host})`),
  );
}

/** Return a link's URL when it may be followed: http or https, without a user name that passes for a host. */
function safe(url) {
  try {
    const target = new URL(url);
    return ["http:", "https:"].includes(target.protocol) && !target.username && !target.password ? target : null;
  } catch {
    return null;
  }
}
