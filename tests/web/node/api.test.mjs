import assert from "node:assert/strict";
import { test } from "node:test";
import { LIB } from "./lib.mjs";

const { Api, Refusal, full, requestId } = await import(new URL("api.js", LIB));
const { Feed } = await import(new URL("feed.js", LIB));
const { Loaded } = await import(new URL("loaded.js", LIB));

const answer = (status, body) => new Response(JSON.stringify(body), { status });
const world = (...answers) => {
  const asked = [];
  const pauses = [];
  let expired = 0;
  const api = new Api({
    fetch: async (path, options) => {
      asked.push({ path, ...options, body: options.body && JSON.parse(options.body) });
      const next = answers.length > 1 ? answers.shift() : answers[0];
      if (next instanceof Error) throw next;
      return next();
    },
    sleep: async (seconds) => {
      pauses.push(seconds);
    },
    expired: () => {
      expired += 1;
    },
  });
  return {
    api,
    asked,
    pauses,
    get expired() {
      return expired;
    },
  };
};
const busy = () => answer(503, { reason: "SERVICE_UNAVAILABLE", message: "busy", retry_seconds: 0.2 });
const fine = () => answer(200, { ok: true });

test("a method has its full name, and the header that no page elsewhere can send", async () => {
  const { api, asked } = world(fine);
  await api.call("scheduler/GetQueue");
  assert.equal(asked[0].path, "/console/api/aios.api.scheduler.v1.SchedulerService/GetQueue");
  assert.equal(asked[0].headers["x-aios-console"], "1");
  assert.throws(() => full("nothing/X"), TypeError);
});

test("reads are asked again, as the server says", async () => {
  const { api, asked, pauses } = world(busy, busy, fine);
  assert.deepEqual(await api.call("agent/GetAgent", { name: "agents/a" }), { ok: true });
  assert.equal(asked.length, 3);
  assert.deepEqual(pauses, [0.2, 0.2]);
});

test("a write with a request_id is asked again with the same one; one without is not", async () => {
  const repeated = world(busy, fine);
  const id = requestId();
  await repeated.api.call("access/DecideApproval", { name: "approvals/a", request_id: id });
  assert.deepEqual(
    repeated.asked.map((each) => each.body.request_id),
    [id, id],
  );
  const once = world(busy, fine);
  await assert.rejects(once.api.call("agent/KillAgent", { name: "agents/a" }), Refusal);
  assert.equal(once.asked.length, 1);
});

test("it gives up after three tries, and does not repeat what was refused", async () => {
  const away = world(new TypeError("failed to fetch"));
  await assert.rejects(
    away.api.call("agent/GetAgent", {}),
    (error) => error.status === 0 && error.reason === "UNREACHABLE",
  );
  assert.equal(away.asked.length, 3);
  const denied = world(() =>
    answer(403, { reason: "PERMISSION_DENIED", message: "no", metadata: { action: "agent.control" } }),
  );
  await assert.rejects(denied.api.call("agent/GetAgent", {}), (error) => error.metadata.action === "agent.control");
  assert.equal(denied.asked.length, 1);
});

test("a session that ended is told once, and then nothing knocks at the server any more", async () => {
  const all = world(() => answer(401, { reason: "CREDENTIAL_EXPIRED" }));
  for (let each = 0; each < 5; each += 1)
    await assert.rejects(all.api.call("scheduler/GetQueue"), (error) => error.expired);
  assert.equal(all.asked.length, 1);
  assert.equal(all.expired, 1);
});

test("signing in opens the way again", async () => {
  const all = world(() => answer(401, {}), fine, fine);
  await assert.rejects(all.api.call("scheduler/GetQueue"));
  await all.api.send("POST", "/console/session", { credential: "k" });
  assert.deepEqual(await all.api.call("scheduler/GetQueue"), { ok: true });
});

test("a body that is no JSON is a refusal, not a crash", async () => {
  const { api } = world(() => new Response("<html>", { status: 502 }));
  await assert.rejects(api.call("agent/KillAgent", {}), (error) => error instanceof Refusal && error.status === 502);
});

test("a list is asked page by page up to its bound", async () => {
  const pages = [answer(200, { agents: [1, 2], next_page_token: "t" }), answer(200, { agents: [3] })];
  const { api, asked } = world(() => pages.shift());
  assert.deepEqual(await api.all("agent/ListAgents", {}, "agents"), { items: [1, 2, 3], more: false });
  assert.equal(asked[1].body.page_token, "t");
  const endless = world(() => answer(200, { agents: Array(500).fill(0), next_page_token: "t" }));
  assert.deepEqual((await endless.api.all("agent/ListAgents", {}, "agents", { most: 1000 })).more, true);
  assert.equal(endless.asked.length, 2);
});

class FakeDocument extends EventTarget {
  hidden = false;
  show(shown) {
    this.hidden = !shown;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

const stream = () => {
  let control;
  const body = new ReadableStream({
    start: (controller) => {
      control = controller;
    },
  });
  return {
    response: new Response(body, { status: 200 }),
    say: (text) => control.enqueue(new TextEncoder().encode(text)),
    end: () => control.close(),
  };
};
const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

test("one stream carries all topics; a hidden tab closes it, and a shown one opens it anew", async (t) => {
  const opened = [];
  const api = {
    open: async (_verb, _path, body, { signal }) => {
      const made = stream();
      opened.push({ ...made, body, signal });
      return made.response;
    },
  };
  const document = new FakeDocument();
  const states = [];
  const taken = [];
  let restarts = 0;
  const feed = new Feed(api, () => states.push(feed.state), { document });
  t.after(() => feed.end());
  feed.watch({
    a: {
      method: "agent/WatchAgents",
      request: {},
      take: (message) => taken.push(message),
      restart: () => {
        restarts += 1;
      },
    },
  });
  await turn();
  assert.equal(feed.state, "live");
  opened[0].say('event: batch\ndata: [["a",[1,2]],["gone",[3]]]\n\n');
  await turn();
  assert.deepEqual(taken, [1, 2]);
  document.show(false);
  assert.equal(feed.state, "paused");
  assert.ok(opened[0].signal.aborted);
  document.show(true);
  await turn();
  assert.equal(opened.length, 2);
  assert.equal(restarts, 2);
  feed.end();
  assert.equal(feed.state, "ended");
});

test("a cut stream is opened again, and says so meanwhile; an ended session is not", async (t) => {
  const answers = [
    () => {
      const made = stream();
      made.say('event: end\ndata: {"retry_seconds": 0}\n\n');
      return made.response;
    },
    () => {
      throw new Refusal(401);
    },
  ];
  const api = { open: async () => answers.shift()() };
  const states = [];
  const feed = new Feed(api, () => states.push(feed.state), { document: new FakeDocument() });
  t.after(() => feed.end());
  feed.watch({ a: { method: "x", request: {}, take() {} } });
  await turn();
  await turn();
  assert.ok(states.includes("reconnecting"));
  assert.equal(feed.state, "ended");
});

test("a question asked anew leaves the one before, whose answer never replaces the new one", async () => {
  const waiting = [];
  const signals = [];
  const ask = (signal) => (signals.push(signal), new Promise((resolve) => waiting.push(resolve)));
  const loaded = new Loaded(ask, () => undefined);
  const first = loaded.load();
  const second = loaded.load();
  assert.deepEqual(
    signals.map((signal) => signal.aborted),
    [true, false],
  );
  waiting[1]("new");
  waiting[0]("old");
  await Promise.all([first, second]);
  assert.equal(loaded.value, "new");
  assert.equal(loaded.busy, false);
});
