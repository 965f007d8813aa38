// A tool whose calls this process runs.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { createClient } from "@connectrpc/connect";

import { ToolEffect } from "../gen/aios/api/tool/v1/resources_pb.js";
import { ToolService, type TakeCallsResponse } from "../gen/aios/api/tool/v1/tool_pb.js";
import type { World } from "./cases.js";
import { as, transport } from "./kernel.js";

const tools = createClient(ToolService, transport);

/** Register a tool, run its calls in this process, and call it as an agent would. */
export async function provider({ admin, token }: World): Promise<void> {
  const name = `tools/shout-${randomUUID().slice(0, 8)}`;
  const driver = { case: "provider", value: {} } as const;
  const parametersSchemaJson = '{"type": "object", "properties": {"text": {"type": "string"}}}';
  const tool = { name, description: "Says a text louder.", effect: ToolEffect.PURE, driver, parametersSchemaJson };
  await tools.registerTool({ tool }, as(admin));
  const leaving = new AbortController();
  const taking = tools.takeCalls({ tools: [name], capacity: 1, processId: randomUUID() }, as(admin, { signal: leaving.signal }));
  const events = taking[Symbol.asyncIterator]();
  await events.next(); // a heartbeat says that the tool is taken
  const served = serve(events, admin);
  assert.equal(await called(name, token), '{"text": "HELLO"}');
  await served;
  leaving.abort();
}

/** Run one call. */
async function serve(events: AsyncIterator<TakeCallsResponse>, admin: string): Promise<void> {
  for (;;) {
    const { value, done } = await events.next();
    if (done) throw new Error("the stream of calls ended");
    if (value.event.case !== "call") continue;
    const { call, leaseId, argumentsJson } = value.event.value;
    assert.deepEqual(JSON.parse(argumentsJson), { text: "hello" });
    const outcome = { case: "result", value: { valueJson: '{"text": "HELLO"}' } } as const;
    await tools.completeCall({ call, leaseId, outcome }, as(admin));
    return;
  }
}

async function called(tool: string, token: string): Promise<string> {
  for await (const { event } of tools.callTool({ tool, argumentsJson: '{"text": "hello"}' }, as(token))) {
    if (event.case !== "result") continue;
    assert.equal(event.value.error, undefined);
    return event.value.result?.valueJson ?? "";
  }
  throw new Error("the call ended without a result");
}
