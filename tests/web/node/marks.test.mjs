import assert from "node:assert/strict";
import { test } from "node:test";
import { HOSTILE, LIB, elements, text } from "./lib.mjs";

const { pieces, plain, suspicious } = await import(new URL("marks.js", LIB));
const { markdown } = await import(new URL("markdown.js", LIB));
const { line } = await import(new URL("text.js", LIB));

test("characters that are not seen are shown as marks", () => {
  assert.equal(plain("invoice\u202egnp.exe"), "invoice\u27e8RLO\u27e9gnp.exe");
  assert.equal(plain("a\u0000b\u001bc"), "a\u27e8NUL\u27e9b\u27e8ESC\u27e9c");
  assert.equal(plain("a\u200bb\u2066c\ufeff"), "a\u27e8ZWSP\u27e9b\u27e8LRI\u27e9c\u27e8BOM\u27e9");
  assert.equal(plain("\u{e0041}"), "\u27e8U+E0041\u27e9");
  assert.ok(suspicious("x\u00ad") && !suspicious("h\u00e9llo \u4e16\u754c \u05e9\u05dc\u05d5\u05dd"));
});

test("line ends are kept in blocks, and marked in what has to stay one line", () => {
  assert.deepEqual(pieces("a\nb\tc"), [{ text: "a\nb\tc" }]);
  assert.equal(plain("a\nb\tc"), "a\u27e8LF\u27e9b\u27e8TAB\u27e9c");
});

test("half a character of a surrogate pair is a mark, not a broken page", () => {
  assert.equal(plain("a\ud800b"), "a\u27e8U+D800\u27e9b");
});

test("marks that pile up on a letter are cut to three", () => {
  assert.ok(plain(`Z${"\u0301".repeat(50)}`).length < 8);
});

test("a name has nothing but text and marks", () => {
  for (const hostile of HOSTILE) {
    const made = elements(line(hostile));
    assert.ok(
      made.every((each) => ["bdi", "mark"].includes(each.tag)),
      hostile,
    );
  }
});

test("markdown makes few kinds of elements, links only to http, and never an image", () => {
  const allowed = new Set([
    "p",
    "pre",
    "ul",
    "ol",
    "li",
    "blockquote",
    "code",
    "strong",
    "em",
    "a",
    "span",
    "br",
    "mark",
  ]);
  for (const hostile of HOSTILE) {
    for (const each of elements(markdown(`before ${hostile} after`)).concat(elements(markdown(hostile)))) {
      assert.ok(allowed.has(each.tag), `${each.tag} of ${hostile}`);
      assert.ok(
        Object.keys(each.props).every((name) => !name.startsWith("on")),
        hostile,
      );
      if (each.tag === "a") assert.match(each.props.href, /^https?:\/\//, hostile);
    }
  }
});

test("text that is no markdown comes out as it went in", () => {
  for (const plainText of [
    "<img src=x onerror=alert(1)>",
    "2 * 3 * 4",
    "a_b_c",
    "[x](javascript:alert(1))",
    "**",
    "`",
    "> ",
  ]) {
    assert.equal(text(markdown(plainText)).trim(), plainText.replace(/^> ?/, "").trim());
  }
});

test("a link shows the host it leads to, also where its words claim another; one with a user name is no link", () => {
  const made = markdown("[https://bank.example](http://evil.example/x)");
  assert.match(text(made), /https:\/\/bank\.example \(evil\.example\)/);
  assert.ok(elements(markdown("[a](http://good.example@evil.example/)")).every((each) => each.tag !== "a"));
});

test("markdown has code, lists, quotes, headings and emphasis", () => {
  const made = markdown("# Title\n\none **two** *three* `four`\n\n- a\n- b\n\n3. c\n\n> q\n\n```\n**raw**\n```");
  const tags = elements(made).map((each) => each.tag);
  for (const tag of ["strong", "em", "code", "ul", "ol", "blockquote", "pre"]) assert.ok(tags.includes(tag), tag);
  assert.match(text(made), /\*\*raw\*\*/);
  assert.equal(elements(made).find((each) => each.tag === "ol").props.start, 3);
});

test("a fence that never ends, and deep or long text, take no time", () => {
  const long = "*".repeat(20_000) + "[".repeat(20_000) + "`".repeat(20_001);
  const before = process.cpuUsage().user;
  markdown(`\`\`\`\n${"x\n".repeat(5000)}`);
  markdown(long);
  assert.ok(process.cpuUsage().user - before < 2_000_000);
});
