// Registers an agent, streams a chat and prints the answer as it comes. Run it beside a kernel: npm start -- Say hello to Mira.

import { createClient } from "@connectrpc/connect";

import { Role } from "../gen/aios/api/common/v1/chat_pb.js";
import { InferenceService } from "../gen/aios/api/inference/v1/inference_pb.js";
import { adminToken, as, reason, register, transport } from "./kernel.js";

async function main(question: string): Promise<void> {
  const { name, token } = await register(adminToken(), "example");
  const generation = { messages: [{ role: Role.USER, content: question }], maxTokens: 64 };
  for await (const { event } of createClient(InferenceService, transport).streamGenerate({ generation }, as(token, { timeoutMs: 120_000 }))) {
    if (event?.event.case === "delta") process.stdout.write(event.event.value.text);
    if (event?.event.case === "finished") {
      const { promptTokens, completionTokens } = event.event.value.usage ?? { promptTokens: 0, completionTokens: 0 };
      process.stdout.write(`\n${name}: ${promptTokens} + ${completionTokens} tokens\n`);
    }
  }
}

main(process.argv.slice(2).join(" ") || "Say hello to Mira.").catch((error: unknown) => {
  process.stderr.write(`${reason(error)} ${String(error)}\n`);
  process.exitCode = 1;
});
