// The cases that every client passes, but for the provider of a tool.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { Code, ConnectError, createClient } from "@connectrpc/connect";

import { AgentService } from "../gen/aios/api/agent/v1/agent_pb.js";
import { Role } from "../gen/aios/api/common/v1/chat_pb.js";
import { InferenceService } from "../gen/aios/api/inference/v1/inference_pb.js";
import { MemoryService } from "../gen/aios/api/memory/v1/memory_pb.js";
import { StorageService } from "../gen/aios/api/storage/v1/storage_pb.js";
import { as, reason, transport, violations } from "./kernel.js";

/** What every case works with: the administrator's token, and an agent of its own. */
export interface World {
  admin: string;
  name: string;
  token: string;
}

const agents = createClient(AgentService, transport);
const notes = createClient(MemoryService, transport);
const files = createClient(StorageService, transport);

async function failure(work: Promise<unknown>): Promise<ConnectError> {
  try {
    await work;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("it did not fail");
}

async function put({ token }: World, key: string, content: string): Promise<void> {
  await notes.putNote({ note: { name: `agents/me/notes/${key}`, content } }, as(token));
}

async function unary({ name, token }: World): Promise<void> {
  const { agent } = await agents.getAgent({ name: "agents/me" }, as(token));
  assert.equal(agent?.name, name);
  assert.equal(agent?.kind, "conformance");
}

async function stream({ token }: World): Promise<void> {
  const messages = [{ role: Role.USER, content: "Say hello to Mira." }];
  let said = "", whole = "", admitted = false;
  for await (const { event } of createClient(InferenceService, transport).streamGenerate({ generation: { messages, maxTokens: 64 } }, as(token))) {
    if (event?.event.case === "admitted") admitted = true;
    if (event?.event.case === "delta") said += event.event.value.text;
    if (event?.event.case === "finished") whole = event.event.value.message?.content ?? "";
  }
  assert.ok(admitted && said);
  assert.equal(said, whole);
}

async function cancel({ name, token }: World): Promise<void> {
  const leaving = new AbortController();
  const error = await failure((async () => {
    for await (const event of agents.watchAgents({ parent: name }, as(token, { signal: leaving.signal }))) {
      if (event) leaving.abort(); // it shows what is there, and would then wait for ever
    }
  })());
  assert.equal(error.code, Code.Canceled);
}

async function deadline({ name, token }: World): Promise<void> {
  const error = await failure((async () => {
    for await (const event of agents.watchAgents({ parent: name }, as(token, { timeoutMs: 300 }))) assert.ok(event);
  })());
  assert.equal(error.code, Code.DeadlineExceeded);
}

async function errorDetails({ token }: World): Promise<void> {
  const missing = await failure(notes.getNote({ name: "agents/me/notes/nowhere" }, as(token)));
  assert.equal(missing.code, Code.NotFound);
  assert.equal(reason(missing), "NOTE_NOT_FOUND");
  const wrong = await failure(notes.listNotes({ parent: "agents/me", pageSize: -1 }, as(token)));
  assert.equal(wrong.code, Code.InvalidArgument);
  assert.ok(violations(wrong).includes("page_size"));
}

async function paging(world: World): Promise<void> {
  for (let number = 0; number < 5; number += 1) await put(world, `page/${number}`, "text");
  const seen: string[] = [];
  let pages = 0, pageToken = "";
  do {
    const page = await notes.listNotes({ parent: "agents/me", keyPrefix: "page/", pageSize: 2, pageToken }, as(world.token));
    seen.push(...page.notes.map((each) => each.key));
    pages += 1;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.deepEqual(seen, ["page/0", "page/1", "page/2", "page/3", "page/4"]);
  assert.equal(pages, 3);
}

async function idempotentRetry({ admin }: World): Promise<void> {
  const request = { kind: "twice", requestId: randomUUID() };
  const first = await agents.registerAgent(request, as(admin));
  const second = await agents.registerAgent(request, as(admin));
  assert.equal(first.agent?.name, second.agent?.name);
  assert.equal(reason(await failure(agents.registerAgent({ ...request, kind: "another" }, as(admin)))), "IDEMPOTENCY_MISMATCH");
}

async function bigMessage({ token }: World): Promise<void> {
  const content = Buffer.from("0123456789abcdef".repeat(1 << 16)); // 1 MiB
  await files.writeFile({ name: "agents/me/files/big.bin", content }, as(token));
  const parts: Uint8Array[] = [];
  for await (const { event } of files.readFile({ name: "agents/me/files/big.bin" }, as(token))) {
    if (event.case === "data") parts.push(event.value);
  }
  assert.ok(Buffer.concat(parts).equals(content));
}

async function unicode(world: World): Promise<void> {
  const key = "ключ/鍵/🗝";
  const text = ["naïve", "日本語", "עברית", "👩‍👩‍👧", "e\u0301", "\u202eabc", "𝄞"].join(" | ");
  await put(world, key, text);
  const { note } = await notes.getNote({ name: `agents/me/notes/${key}` }, as(world.token));
  assert.equal(note?.content, text);
  assert.equal(note?.key, key);
}

export const cases: Record<string, (world: World) => Promise<void>> = {
  unary, stream, cancel, deadline, error_details: errorDetails, paging, idempotent_retry: idempotentRetry, big_message: bigMessage, unicode,
};
