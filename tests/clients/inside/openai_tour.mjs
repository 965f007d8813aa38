// OpenAI's SDK for JavaScript: chats, responses, tools, structured output, and leaving in the middle.

import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import OpenAI from "openai";

const tour = JSON.parse(process.env.AIOS_TOUR);
const client = new OpenAI({ baseURL: `${tour.url}/v1`, apiKey: tour.key, maxRetries: 0, timeout: 30_000 });
const model = "scripted";
const greeting = "Hello Mira, all is well.";
const user = (content) => [{ role: "user", content }];
const parameters = {
  type: "object",
  properties: { a: { type: "integer" }, b: { type: "integer" } },
  required: ["a", "b"],
  additionalProperties: false,
};
const trip = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};

async function waitsFor(mark, wanted) {
  const url = `${tour.model}/seen?has=${encodeURIComponent(mark)}`;
  let seen;
  for (let tries = 0; tries < 200; tries++) {
    seen = await (await fetch(url)).json();
    if (Object.keys(wanted).every((key) => seen[key] === wanted[key])) return;
    await sleep(50);
  }
  assert.fail(`${mark}: ${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`);
}

test("a chat is answered whole", async () => {
  const answer = await client.chat.completions.create({ model, messages: user("hello") });
  assert.equal(answer.choices[0].message.content, greeting);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.usage.total_tokens > 0);
});

test("a chat is streamed", async () => {
  const stream = await client.chat.completions.create({ model, messages: user("hello"), stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
  assert.equal(text, greeting);
});

test("the tool runner loops over a tool", async () => {
  const asked = [];
  const add = ({ a, b }) => { asked.push([a, b]); return String(a + b); };
  const tool = { type: "function", function: { name: "add", description: "Adds.", parameters, parse: JSON.parse, function: add } };
  const runner = client.chat.completions.runTools({ model, messages: user("ADDTASK"), tools: [tool] });
  assert.equal(await runner.finalContent(), "five");
  assert.deepEqual(asked, [[2, 3]]);
});

test("a chat keeps to a schema", async () => {
  const response_format = { type: "json_schema", json_schema: { name: "trip", schema: trip, strict: true } };
  const answer = await client.chat.completions.parse({ model, messages: user("JSONTASK"), response_format });
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { city: "Paris", days: 3 });
});

test("a response is given whole and goes on from the one before", async () => {
  const tools = [{ type: "function", name: "add", description: "Adds.", parameters, strict: true }];
  const first = await client.responses.create({ model, input: "ADDTASK", tools });
  const [call] = first.output;
  const input = [{ type: "function_call_output", call_id: call.call_id, output: "5" }];
  const second = await client.responses.create({ model, input, previous_response_id: first.id, tools });
  assert.deepEqual(JSON.parse(call.arguments), { a: 2, b: 3 });
  assert.equal(second.output_text, "five");
});

test("the helper gathers the events of a response", async () => {
  const stream = client.responses.stream({ model, input: "hello" });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  assert.equal(kinds[0], "response.created");
  assert.equal(kinds.at(-1), "response.completed");
  assert.equal((await stream.finalResponse()).output_text, greeting);
});

test("texts are embedded, models are listed", async () => {
  const { data } = await client.embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"] });
  assert.equal(data.length, 2);
  assert.ok(data[0].embedding.length > 0);
  const ids = (await client.models.list()).data.map((each) => each.id);
  assert.ok(ids.includes(model));
});

test("leaving a stream stops the model", async () => {
  const mark = "SLOWTEXT node";
  const stream = await client.chat.completions.create({ model, messages: user(mark), stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
  await waitsFor(mark, { asked: 1, dropped: 1 });
});

test("a wrong key is a typed error", async () => {
  const stranger = client.withOptions({ apiKey: "wrong" });
  await assert.rejects(
    stranger.chat.completions.create({ model, messages: user("hello") }), OpenAI.AuthenticationError,
  );
});
