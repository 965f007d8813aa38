import assert from "node:assert/strict";
import { test } from "node:test";
import { LIB } from "./lib.mjs";

const { agentOf, bytes, count, last, seconds, sequence, time, utf8, word } = await import(new URL("decode.js", LIB));
const { clock, counted, size, span } = await import(new URL("format.js", LIB));

test("int64 come as strings and count as numbers; absent is zero", () => {
  assert.equal(count("9007199254740991"), 9007199254740991);
  assert.equal(count(7), 7);
  assert.equal(count(undefined), 0);
  assert.equal(count("abc"), 0);
  assert.equal(count(""), 0);
});

test("sequence numbers are exact beyond 2^53", () => {
  assert.ok(sequence("9223372036854775807") > sequence("9223372036854775806"));
  assert.equal(sequence(undefined), 0n);
  assert.equal(sequence("no"), 0n);
});

test("durations are seconds; none is null", () => {
  assert.equal(seconds("1.500s"), 1.5);
  assert.equal(seconds("-3s"), -3);
  assert.equal(seconds("315576000000s"), 315576000000);
  assert.equal(seconds(undefined), null);
  assert.equal(seconds("1 hour"), null);
});

test("times keep milliseconds and understand nanoseconds and offsets", () => {
  assert.equal(time("1970-01-01T00:00:01Z"), 1000);
  assert.equal(time("1970-01-01T00:00:01.123456789Z"), 1123);
  assert.equal(time("1970-01-01T01:00:00+01:00"), 0);
  assert.equal(time("yesterday"), null);
  assert.equal(time(undefined), null);
});

test("enums are words without their prefix; unspecified is nothing; a number that is not known says so", () => {
  assert.equal(word("SCHEDULING_CLASS_NORMAL", "SCHEDULING_CLASS"), "normal");
  assert.equal(word("CALL_STATE_WAITING_APPROVAL", "CALL_STATE"), "waiting approval");
  assert.equal(word("AGENT_STATE_UNSPECIFIED", "AGENT_STATE"), "");
  assert.equal(word(undefined, "AGENT_STATE"), "");
  assert.equal(word(42, "AGENT_STATE"), "number 42");
});

test("bytes come as base64; what is no UTF-8 is no text", () => {
  assert.equal(utf8("aMOp"), "h\u00e9");
  assert.equal(utf8("/w=="), null);
  assert.deepEqual([...bytes("AQI=")], [1, 2]);
  assert.equal(utf8(undefined), "");
});

test("names have an agent and a last part", () => {
  assert.equal(agentOf("agents/a/calls/c"), "a");
  assert.equal(agentOf("tools/x"), "");
  assert.equal(last("agents/a/calls/c"), "c");
  assert.equal(last(undefined), "");
});

test("spans and sizes are short and steady", () => {
  assert.deepEqual([0.04, 9.9, 9.96, 59.4, 59.6, 61, 3600, 86400 * 3].map(span), [
    "0.0 s",
    "9.9 s",
    "10 s",
    "59 s",
    "1 min 00 s",
    "1 min 01 s",
    "1 h 00 min",
    "3 d 0 h",
  ]);
  assert.equal(span(null), "\u2013");
  assert.deepEqual([0, 1023, 1024, 1536, 10 * 1024 * 1024].map(size), [
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.5 KiB",
    "10 MiB",
  ]);
  assert.equal(counted(1, "call"), "1 call");
  assert.equal(counted(2000, "call"), "2,000 calls");
  assert.match(clock(0), /^\d\d:\d\d:\d\d$/);
});
