// Runs the cases of conformance.json against a live kernel. Prints one line of JSON for each and exits with 1 when one fails.

import { readFileSync } from "node:fs";

import { cases } from "./cases.js";
import { provider } from "./provider.js";
import { adminToken, register } from "./kernel.js";

const all = { ...cases, tool_provider: provider };

async function tried(id: string, admin: string): Promise<string> {
  const work = all[id as keyof typeof all];
  if (work === undefined) return "this program has no such case";
  try {
    await work({ admin, ...(await register(admin, "conformance")) });
    return "";
  } catch (error) {
    return String(error);
  }
}

const path = process.argv[2];
if (path === undefined) {
  process.stderr.write("usage: conformance CONFORMANCE.json\n");
  process.exit(2);
}
const listed = JSON.parse(readFileSync(path, "utf8")) as { cases: { id: string }[] };
const admin = adminToken();
for (const { id } of listed.cases) {
  const detail = await tried(id, admin);
  process.stdout.write(`${JSON.stringify({ case: id, ok: detail === "", detail })}\n`);
  if (detail !== "") process.exitCode = 1;
}
process.exit();
