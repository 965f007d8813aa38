import assert from "node:assert/strict";
import { test } from "node:test";
import { LIB } from "./lib.mjs";

const { KEPT_MS, Schedule } = await import(new URL("schedule.js", LIB));

const at = (second) => new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString();
const event = (kind, sequence, second, call, more = {}) => ({
  kind: `SCHEDULE_EVENT_KIND_${kind}`,
  sequence: String(sequence),
  time: at(second),
  syscall: call
    ? {
        name: `agents/a/calls/${call}`,
        scheduling_class: "SCHEDULING_CLASS_NORMAL",
        arrive_time: at(0),
        ...more.syscall,
      }
    : undefined,
  ...more,
  ...(more.syscall ? { syscall: { name: `agents/a/calls/${call}`, arrive_time: at(0), ...more.syscall } } : {}),
});
const begin = (sequence, ...known) => [
  event("KNOWN_STARTED", sequence, 0),
  ...known,
  event("KNOWN_ENDED", sequence, 0),
];
const fold = (...messages) => {
  const schedule = new Schedule();
  for (const message of messages) schedule.apply(message);
  return schedule;
};
const running = { syscall: { state: "SYSCALL_STATE_RUNNING", replica: "r1" } };
const waiting = { syscall: { state: "SYSCALL_STATE_WAITING" } };
const on = (replica) => ({ syscall: { replica } });

test("it begins with what waits and runs", () => {
  const schedule = fold(...begin(10, event("KNOWN", 10, 0, "one", running), event("KNOWN", 10, 0, "two", waiting)));
  assert.ok(schedule.ready);
  assert.equal(schedule.running, 1);
  assert.deepEqual(
    schedule.waiting.map((call) => call.name),
    ["agents/a/calls/two"],
  );
});

test("what the start has taken in already is passed over", () => {
  const schedule = fold(...begin(10, event("KNOWN", 10, 0, "one", running)));
  assert.equal(schedule.apply(event("GRANTED", 9, 1, "one", on("r1"))), false);
  assert.equal(schedule.apply(event("GRANTED", 10, 1, "one", on("r1"))), false);
  assert.equal(schedule.running, 1);
  assert.equal(schedule.apply(event("FINISHED", 11, 2, "one", { outcome: "completed" })), true);
  assert.equal(schedule.running, 0);
});

test("an event that comes twice counts once", () => {
  const schedule = fold(
    ...begin(0),
    event("SUBMITTED", 1, 1, "one"),
    event("GRANTED", 2, 2, "one", on("r1")),
    event("GRANTED", 2, 2, "one", on("r1")),
  );
  assert.equal(schedule.running, 1);
  assert.equal(schedule.bars.length, 1);
});

test("never more runs than was granted: slots are given back and taken again", () => {
  const schedule = fold(...begin(0));
  let sequence = 0;
  for (let round = 0; round < 50; round += 1) {
    for (const call of ["x", "y"]) {
      schedule.apply(event("SUBMITTED", (sequence += 1), round, `${call}${round}`));
      schedule.apply(event("GRANTED", (sequence += 1), round, `${call}${round}`, on("r1")));
    }
    for (const call of ["x", "y"])
      schedule.apply(event("FINISHED", (sequence += 1), round + 0.5, `${call}${round}`, { outcome: "completed" }));
  }
  assert.equal(schedule.running, 0);
  assert.equal(schedule.slots.get("r1").length, 2);
  assert.equal(schedule.calls.size, 0);
});

test("a preempted call waits again, its bar ends there, and it goes on on another replica", () => {
  const schedule = fold(
    ...begin(0),
    event("SUBMITTED", 1, 0, "one"),
    event("GRANTED", 2, 1, "one", on("r1")),
    event("PREEMPTED", 3, 2, "one", on("r1")),
    event("YIELDED", 4, 3, "one"),
  );
  assert.deepEqual(
    schedule.bars.map((bar) => [bar.replica, bar.end]),
    [["r1", "stopped"]],
  );
  assert.equal(schedule.waiting.length, 1);
  assert.equal(schedule.preempted, 1);
  schedule.apply(event("GRANTED", 5, 4, "one", on("r2")));
  assert.deepEqual(
    schedule.bars.map((bar) => bar.replica),
    ["r1", "r2"],
  );
  assert.equal(schedule.running, 1);
});

test("a failure is no clean end", () => {
  const schedule = fold(
    ...begin(0),
    event("SUBMITTED", 1, 0, "one"),
    event("GRANTED", 2, 1, "one", on("r1")),
    event("FINISHED", 3, 2, "one", { outcome: "failed" }),
  );
  assert.equal(schedule.bars[0].end, "failed");
});

test("a stream that begins anew forgets what is gone, and keeps the picture of what was", () => {
  const schedule = fold(
    ...begin(0),
    event("SUBMITTED", 1, 0, "one"),
    event("GRANTED", 2, 1, "one", on("r1")),
    event("FINISHED", 3, 2, "one", { outcome: "completed" }),
    event("SUBMITTED", 4, 3, "lost"),
    ...begin(90, event("KNOWN", 90, 5, "two", running)),
  );
  assert.deepEqual([...schedule.calls.keys()], ["agents/a/calls/two"]);
  assert.deepEqual(
    schedule.bars.map((bar) => bar.call),
    ["agents/a/calls/one", "agents/a/calls/two"],
  );
  assert.equal(schedule.apply(event("SUBMITTED", 89, 6, "old")), false);
});

test("numbers beyond 2^53 are told apart", () => {
  const schedule = fold(...begin("9007199254740993"));
  assert.equal(schedule.apply(event("SUBMITTED", "9007199254740993", 1, "one")), false);
  assert.equal(schedule.apply(event("SUBMITTED", "9007199254740994", 1, "one")), true);
});

test("lost events are told, and old bars are forgotten", () => {
  const schedule = fold(
    ...begin(0),
    event("SUBMITTED", 1, 0, "one"),
    event("GRANTED", 2, 0, "one", on("r1")),
    event("FINISHED", 3, 1, "one", { outcome: "completed", lost_count: "12" }),
  );
  assert.equal(schedule.lost, 12);
  schedule.prune(Date.UTC(2026, 0, 1) + KEPT_MS + 5000);
  assert.equal(schedule.bars.length, 0);
});
