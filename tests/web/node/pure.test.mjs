import assert from "node:assert/strict";
import { test } from "node:test";
import { LIB } from "./lib.mjs";

const { Agents } = await import(new URL("agents.js", LIB));
const { inView, moved } = await import(new URL("rows.js", LIB));
const { hit, layout, ticks } = await import(new URL("timeline.js", LIB));
const { sideBySide } = await import(new URL("diff.js", LIB));
const { Events } = await import(new URL("sse.js", LIB));
const { budget, rows } = await import(new URL("../pages/agent_windows.js", LIB));
const { Generation } = await import(new URL("../pages/agent_live.js", LIB));
const { elements, text } = await import("./lib.mjs");

const agent = (id, parent = "", more = {}) => ({
  agent: {
    name: `agents/${id}`,
    parent: parent && `agents/${parent}`,
    state: "AGENT_STATE_ACTIVE",
    create_time: `2026-01-01T00:00:0${id.length}Z`,
    ...more,
  },
});
const tree = (...messages) => messages.reduce((agents, message) => (agents.apply(message), agents), new Agents());
const ids = (shown) => shown.map(({ agent: { id }, level }) => `${"-".repeat(level)}${id}`);

test("agents are a tree, also where a child is told before its parent", () => {
  const agents = tree(agent("aaa", "a"), agent("a"), agent("aa", "a"), agent("b"), agent("aaaa", "aaa"));
  assert.deepEqual(ids(agents.rows()), ["a", "-aa", "-aaa", "--aaaa", "b"]);
});

test("folding hides what is below; a search shows matches with all above them", () => {
  const agents = tree(agent("a"), agent("aa", "a", { display_name: "Needle" }), agent("aaa", "aa"), agent("b"));
  agents.toggle("agents/a");
  assert.deepEqual(ids(agents.rows()), ["a", "b"]);
  agents.toggle("agents/a");
  assert.deepEqual(ids(agents.rows({ search: "needle" })), ["a", "-aa"]);
  assert.deepEqual(ids(agents.rows({ state: "killed" })), []);
});

test("a kill tells how many end: those that live, it included", () => {
  const agents = tree(
    agent("a"),
    agent("aa", "a"),
    agent("aaa", "aa"),
    agent("aab", "aa", { state: "AGENT_STATE_KILLED" }),
  );
  assert.equal(agents.living("agents/a"), 3);
  agents.apply(agent("aa", "a", { state: "AGENT_STATE_KILLED" }));
  assert.equal(agents.living("agents/a"), 2);
});

test("5,000 agents are flattened once, not for each look", () => {
  const agents = new Agents();
  for (let each = 0; each < 5000; each += 1) agents.apply(agent(`x${each}`, each % 10 ? `x${each - (each % 10)}` : ""));
  const first = agents.rows();
  assert.equal(first.length, 5000);
  assert.equal(agents.rows(), first);
  agents.apply(agent("x1", "x0", { state: "AGENT_STATE_SUSPENDED" }));
  assert.notEqual(agents.rows(), first);
});

test("only the rows in view are there, with some to spare, and never beyond the ends", () => {
  const { first, last } = inView(15_000, 600, 30, 5000);
  assert.ok(first <= 500 && last >= 520 && last - first < 40);
  assert.deepEqual(inView(0, 600, 30, 3), { first: 0, last: 3 });
  assert.deepEqual(inView(9999, 600, 30, 0), { first: 0, last: 0 });
});

test("keys move the current row and stop at the ends", () => {
  assert.equal(moved("ArrowDown", -1, 10, 5), 0);
  assert.equal(moved("ArrowUp", 0, 10, 5), 0);
  assert.equal(moved("PageDown", 3, 10, 5), 8);
  assert.equal(moved("PageDown", 8, 10, 5), 9);
  assert.equal(moved("End", 0, 10, 5), 9);
  assert.equal(moved("x", 0, 10, 5), null);
});

test("bars lie where their time is, cut at the edges; a point finds its bar", () => {
  const bars = [
    { id: "a", from: -50, to: 50, row: "r" },
    { id: "b", from: 60, to: null, row: "r" },
    { id: "c", from: 0, to: 1, row: "gone" },
    { id: "d", from: 200, to: 300, row: "r" },
  ];
  const boxes = layout(bars, {
    from: 0,
    to: 100,
    left: 100,
    width: 200,
    rows: new Map([["r", 1]]),
    row: 20,
    rowOf: (bar) => bar.row,
  });
  assert.deepEqual(
    boxes.map((box) => [box.bar.id, box.x, Math.round(box.x + box.width), box.y]),
    [
      ["a", 100, 150, 21],
      ["b", 160, 200, 21],
    ],
  );
  assert.equal(hit(boxes, 120, 25).id, "a");
  assert.equal(hit(boxes, 155, 25), null);
});

test("lines of time are at round seconds, some six of them", () => {
  const { step, found } = ticks(1_000_500, 1_060_500);
  assert.equal(step, 10);
  assert.ok(found.every((each) => each % 10_000 === 0) && found.length === 6);
});

test("a diff lies side by side, changed lines facing each other", () => {
  const found = sideBySide(
    "--- a\n+++ b\n@@ -1,3 +1,4 @@\n same\n-old\n+new\n+more\n last\n\\ No newline at end of file\n",
  );
  assert.deepEqual(
    found.map((row) => row.hunk ?? [row.left?.text ?? null, row.right?.text ?? null]),
    ["@@ -1,3 +1,4 @@", ["same", "same"], ["old", "new"], [null, "more"], ["last", "last"]],
  );
  assert.deepEqual(found.at(-1).right.number, 4);
  assert.deepEqual(sideBySide(""), []);
});

test("lines of a file that look like a header are lines", () => {
  const found = sideBySide("--- a\n+++ b\n@@ -1,2 +1,1 @@\n--- not a header\n same\n");
  assert.equal(found[1].left.text, "-- not a header");
});

test("events of a stream are whole however they were cut", () => {
  const wire = ": open\n\nevent: batch\ndata: [1,\ndata: 2]\nid: 7\n\n: alive\n\ndata: x\r\n\r\n";
  for (const step of [1, 2, 3, 7, wire.length]) {
    const events = new Events();
    const found = [];
    for (let from = 0; from < wire.length; from += step) found.push(...events.push(wire.slice(from, from + step)));
    assert.deepEqual(
      found,
      [
        { event: "batch", data: "[1,\n2]", id: "7" },
        { event: "message", data: "x", id: "" },
      ],
      `steps of ${step}`,
    );
  }
});

test("an event without an end is refused before it fills the memory", () => {
  const events = new Events();
  assert.throws(() => {
    for (let each = 0; each < 20; each += 1) events.push("data: ".padEnd(1024 * 1024, "x"));
  }, RangeError);
});

test("a window tells what was dropped and why, and what it holds", () => {
  const messages = [1, 2, 3].map((position) => ({
    position: String(position),
    message: { role: "ROLE_USER", content: `m${position}` },
  }));
  const window = {
    messages: [{ message: { role: "ROLE_SYSTEM", content: "summary" } }, messages[2]],
    added: [{ summary: { model: "m" } }],
    dropped: [{ first_position: "1", last_position: "2", reason: "DROP_REASON_SUMMARIZED", token_count: "40" }],
    token_count: 30,
    token_budget: 100,
    available_tokens: 50,
  };
  const shown = text(rows(window, messages));
  assert.match(shown, /2 messages \(40 tokens\): summarized/);
  assert.match(shown, /a summary, made by the kernel/);
  assert.equal(elements(rows(window, messages)).filter((each) => each.props.class === "message out").length, 2);
  assert.match(text(budget(window)), /30 of 100 tokens/);
});

test("a token stream shows each token once, in order, with where it was stopped", () => {
  const generation = new Generation();
  const events = [
    { admitted: { wait: "1.5s" } },
    { sequence: "1", delta: { text: "Hel", token_count: 1 } },
    { sequence: "1", delta: { text: "Hel", token_count: 1 } },
    { sequence: "1", suspended: { reason: "SUSPEND_REASON_PREEMPTED" } },
    { sequence: "1", resumed: { wait: "2s" } },
    { sequence: "3", delta: { text: "lo", token_count: 2 } },
    { finished: { reason: "FINISH_REASON_STOP" } },
  ];
  for (const event of events) generation.take(event);
  assert.deepEqual(generation.pieces, [
    { text: "Hel" },
    { stop: "stopped for another call" },
    { stop: "went on after 2.0 s" },
    { text: "lo" },
  ]);
  assert.equal(generation.tokens, 3);
  assert.equal(generation.state, "done");
});

test("a token stream of any length keeps its end, and tells how much it let go", () => {
  const generation = new Generation();
  for (let each = 1; each <= 300; each += 1)
    generation.take({ sequence: String(each), delta: { text: "x".repeat(1000), token_count: 1 } });
  assert.equal(
    generation.pieces.reduce((sum, piece) => sum + piece.text.length, 0),
    200_000,
  );
  assert.equal(generation.cut, 100_000);
});
