// What ended calls took, by agent and by tree, since a time.

import { count, seconds, time } from "./decode.js";
import { counted, moment, number, span } from "./format.js";

const FIELDS = ["call_count", "failed_count", "cancelled_count", "prompt_tokens", "new_tokens", "preemption_count"];

/** Sum entries of the wire, one for each lane, into `{agent name: {own, tree}}`. */
export function summed(entries) {
  const found = new Map();
  for (const { agent, own, tree } of entries) {
    const sums = found.get(agent) ?? { own: none(), tree: none() };
    add(sums.own, own ?? {});
    add(sums.tree, tree ?? {});
    found.set(agent, sums);
  }
  return found;
}

const none = () => ({ ...Object.fromEntries(FIELDS.map((name) => [name, 0])), wait: 0, run: 0 });

function add(sums, told) {
  for (const name of FIELDS) sums[name] += count(told[name]);
  sums.wait += seconds(told.wait) ?? 0;
  sums.run += seconds(told.run) ?? 0;
}

/** All tokens of a sum, prompts included. */
export const tokens = (sums) => sums.prompt_tokens + sums.new_tokens;

/** Ask for the usage of an agent and all below it, or of everybody. Returns `{sums, since, more}`. */
export async function ask(api, parent, signal) {
  const entries = [];
  let token = "";
  let answer;
  for (let page = 0; page < 20; page += 1) {
    answer = await api.call("scheduler/ListSyscallUsage", { parent, page_size: 500, page_token: token }, { signal });
    entries.push(...(answer.usage ?? []));
    token = answer.next_page_token ?? "";
    if (!token) break;
  }
  return { sums: summed(entries), since: time(answer.since), more: Boolean(token) };
}

/** Names and values of a sum for `facts`. */
export function words(sums, since) {
  if (!sums) return [];
  const kinds = [
    sums.failed_count ? `${number(sums.failed_count)} failed` : "",
    sums.cancelled_count ? `${number(sums.cancelled_count)} cancelled` : "",
  ]
    .filter(Boolean)
    .join(", ");
  return [
    [`Calls since ${moment(since).slice(5, 16)}`, `${counted(sums.call_count, "call")}${kinds ? `, ${kinds}` : ""}`],
    ["Tokens in, out", `${number(sums.prompt_tokens)}, ${number(sums.new_tokens)}`],
    ["Waited, ran", `${span(sums.wait)}, ${span(sums.run)}`],
    ["Preempted", number(sums.preemption_count)],
  ];
}
