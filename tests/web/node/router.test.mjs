import assert from "node:assert/strict";
import { test } from "node:test";
import { LIB } from "./lib.mjs";

const { PAGES, address, destination, parse } = await import(new URL("router.js", LIB));

test("every page has an address that leads back to it, with what it shows", () => {
  for (const page of PAGES) {
    const query = { id: "a.b-c", file: "dir/na me&x=1#?.txt", search: "<b> \u202e" };
    const url = new URL(address(page, query), "http://h");
    assert.deepEqual(parse(url.pathname, url.search), { page, query });
  }
});

test("one view has one address: no empty values, names in order", () => {
  assert.equal(address("now"), "/console/");
  assert.equal(address("agent", { tab: "", id: "x", b: null, a: 1 }), "/console/agent?a=1&id=x");
});

test("what is no view is none, and its last part never looks like a file", () => {
  assert.equal(parse("/console/nothing"), null);
  assert.equal(parse("/other"), null);
  assert.equal(parse("/console/agents/").page, "agents");
  assert.ok(!address("agent", { id: "a.b", file: "x.txt" }).split("?")[0].includes("."));
});

test("signing in leads only into the console", () => {
  for (const evil of [
    "https://evil.example",
    "//evil.example",
    "/console/../admin",
    "/console//evil.example",
    "javascript:alert(1)",
    "/console/sign-in?next=/console/sign-in",
    undefined,
    "/v1/models",
  ]) {
    assert.equal(destination(evil), "/console/", String(evil));
  }
  assert.equal(destination("/console/agent?id=x&tab=files"), "/console/agent?id=x&tab=files");
});
