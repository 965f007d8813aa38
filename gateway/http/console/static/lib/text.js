// Text of strangers as elements: marks for what is not seen, and an isolated direction.

import { h } from "./dom.js";
import { pieces, plain } from "./marks.js";

const LONGEST = 200_000;

/** One line of a stranger's text. */
export function line(text, props = {}) {
  return h("bdi", props, marked(String(text ?? ""), { lines: false }));
}

/** Text with its line ends, such as a file, arguments or a message; what is beyond the bound is told, not shown. */
export function block(text, props = {}) {
  const all = String(text ?? "");
  const cut = all.length > LONGEST;
  return h(
    "pre",
    { class: "block", dir: "auto", tabindex: "0", ...props },
    marked(cut ? all.slice(0, LONGEST) : all, { lines: true }),
    cut && h("em", { class: "cut" }, `\n${(all.length - LONGEST).toLocaleString("en")} characters more are not shown`),
  );
}

/** Text as children: strings, and `mark` elements for characters that must be seen. */
export function marked(text, options) {
  return pieces(text, options).map(
    (piece) =>
      piece.text ??
      h(
        "mark",
        { class: "unseen", title: `${piece.code}: a character that is not seen`, "data-code": piece.code },
        piece.mark,
      ),
  );
}

export { plain };
