// Reaches a running kernel as the examples do: address and administrator's token come from the environment, as for the SDK.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { createClient, ConnectError, type CallOptions } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { AgentService } from "../gen/aios/api/agent/v1/agent_pb.js";
import { BadRequestSchema, ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";

/** The one transport that all clients share. */
export const transport = createGrpcTransport({ baseUrl: `http://${process.env.AIOS_ENDPOINT || "127.0.0.1:7070"}` });

/** Return AIOS_TOKEN, or what the kernel of this machine wrote into its data directory. */
export function adminToken(): string {
  const directory = process.env.AIOS_DATA_DIR || join(homedir(), ".aios");
  return process.env.AIOS_TOKEN || readFileSync(join(directory, "admin.token"), "utf8").trim();
}

/** Return the options of a call in the name of a token. */
export function as(token: string, options: CallOptions = {}): CallOptions {
  return { ...options, headers: { authorization: `Bearer ${token}` } };
}

/** Make an agent of that kind; return its name and its first token. */
export async function register(admin: string, kind: string): Promise<{ name: string; token: string }> {
  const { agent, credential } = await createClient(AgentService, transport).registerAgent({ kind }, as(admin));
  if (agent === undefined || credential === undefined) throw new Error("the kernel told no agent");
  return { name: agent.name, token: credential.token };
}

/** Return why a call failed, by the one ErrorInfo that every error of the kernel has; empty: it is none of the kernel's. */
export function reason(error: unknown): string {
  return ConnectError.from(error).findDetails(ErrorInfoSchema).find((each) => each.domain === "aios")?.reason ?? "";
}

/** Return the wrong fields of a request that was refused. */
export function violations(error: unknown): string[] {
  const details = ConnectError.from(error).findDetails(BadRequestSchema);
  return details.flatMap((each) => each.fieldViolations.map((violation) => violation.field));
}
