// What was done, by whom, and whether the log is whole.

import { count, last, time, word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { counted, moment, number } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { address } from "../lib/router.js";
import { line, plain } from "../lib/text.js";
import { agentLink, badge, button, empty, facts, field, panel, problem, table, waitingFor } from "../lib/widgets.js";

const PAGE = 100;
const OUTCOMES = [
  ["", "Any"],
  ["OK", "Done"],
  ["DENIED", "Denied"],
  ["FAILED", "Failed"],
];

export class AuditPage {
  title = "Audit";

  constructor(app) {
    this.app = app;
    const changed = () => app.changed();
    this.entries = new Loaded((signal) => this.#page("", signal), changed);
    this.verified = new Loaded((signal) => app.api.call("access/VerifyAudit", {}, { signal }), changed);
  }

  enter(query) {
    const asked = JSON.stringify([
      query.agent,
      query.action,
      query.resource,
      query.outcome,
      query.from,
      query.to,
      query.call,
    ]);
    this.query = query;
    if (asked === this.asked) return;
    this.asked = asked;
    this.entries.value = null;
    this.entries.load();
  }

  leave() {
    this.entries.stop();
    this.verified.stop();
  }

  async #page(token, signal) {
    const { agent = "", action = "", resource = "", outcome = "", from = "", to = "", call = "" } = this.query;
    const body = {
      agent: agent && !agent.includes("/") ? `agents/${agent}` : agent,
      action,
      resource_prefix: resource,
      syscall_id: call,
      page_size: PAGE,
      page_token: token,
    };
    if (OUTCOMES.some(([value]) => value && value === outcome)) body.outcome = `AUDIT_OUTCOME_${outcome}`;
    for (const [name, value] of [
      ["start_time", from],
      ["end_time", to],
    ])
      if (value && !Number.isNaN(Date.parse(value))) body[name] = new Date(value).toISOString();
    const answer = await this.app.api.call("access/QueryAudit", body, { signal });
    return { entries: answer.entries ?? [], next: answer.next_page_token ?? "" };
  }

  async #more() {
    const before = this.entries.value;
    this.growing = true;
    this.app.changed();
    const next = await this.app.act("Show more", () => this.#page(before.next));
    this.growing = false;
    if (next && this.entries.value === before)
      this.entries.value = { entries: [...before.entries, ...next.entries], next: next.next };
    this.app.changed();
  }

  #submit = (event) => {
    event.preventDefault();
    const { elements } = event.currentTarget;
    this.app.with(
      Object.fromEntries(
        ["agent", "action", "resource", "outcome", "from", "to"].map((name) => [name, elements[name].value.trim()]),
      ),
      { replace: false },
    );
  };

  view() {
    const { value, error, asOf, busy } = this.entries;
    const chosen = value?.entries.find((entry) => String(entry.sequence) === this.query.entry);
    return [
      h(
        "div",
        { class: "title", key: "title" },
        h("h1", {}, "Audit"),
        h("span", { class: "space" }),
        this.#verdict(),
        button("Verify the log", () => this.verified.load(), { busy: this.verified.busy }),
      ),
      h(
        "form",
        { class: "filters", onsubmit: this.#submit, key: `filters-${this.asked}` },
        field("Agent", { name: "agent", value: this.query.agent ?? "", placeholder: "planner" }),
        field("Action", { name: "action", value: this.query.action ?? "", placeholder: "tool.call" }),
        field("Resource begins with", {
          name: "resource",
          value: this.query.resource ?? "",
          placeholder: "agents/planner/",
        }),
        field("Outcome", { name: "outcome", options: OUTCOMES, value: this.query.outcome ?? "" }),
        field("From", { name: "from", type: "datetime-local", value: this.query.from ?? "" }),
        field("To", { name: "to", type: "datetime-local", value: this.query.to ?? "" }),
        h("button", { type: "submit", class: "primary" }, "Filter"),
        this.asked !== "[null,null,null,null,null,null,null]" ? h("a", { href: address("audit") }, "Clear") : null,
      ),
      problem(error, () => this.entries.load()),
      problem(this.verified.error),
      h(
        "div",
        { class: chosen ? "columns list-detail" : "columns", key: "columns" },
        panel(
          "Entries, newest first",
          {
            asOf,
            flush: true,
            note: value ? `${number(value.entries.length)}${value.next ? " and more" : ""}` : null,
            actions: [button("Reload", () => this.entries.load(), { kind: "small", busy })],
          },
          !value ? (error ? null : waitingFor("Asking\u2026")) : this.#table(value.entries),
          value?.next
            ? h(
                "p",
                { class: "inset", key: "more" },
                button("Show more", () => this.#more(), { busy: this.growing }),
              )
            : null,
        ),
        chosen ? this.#detail(chosen) : null,
      ),
    ];
  }

  #verdict() {
    const { value, asOf, busy } = this.verified;
    if (busy) return h("span", { class: "quiet", role: "status" }, "Verifying\u2026");
    if (!value) return null;
    return h(
      "span",
      { role: "status" },
      badge(value.intact ? "intact" : "broken"),
      " ",
      value.intact
        ? `${counted(count(value.verified_count), "entry", "entries")} verified, ${moment(asOf)}`
        : [
            "Not intact: ",
            line(value.problem || word(value.fault, "AUDIT_FAULT")),
            count(value.broken_sequence) ? `, at entry ${number(count(value.broken_sequence))}` : null,
          ],
    );
  }

  #table(entries) {
    return table(
      "Entries",
      [
        {
          name: "Time",
          cell: (entry) =>
            h(
              "a",
              { href: address("audit", { ...this.query, entry: entry.sequence }), class: "nowrap" },
              moment(time(entry.event_time) ?? time(entry.create_time)),
            ),
        },
        {
          name: "Who",
          cell: (entry) =>
            entry.kind === "PRINCIPAL_KIND_AGENT"
              ? agentLink(entry.agent)
              : line(entry.agent ? last(entry.agent) : word(entry.kind, "PRINCIPAL_KIND")),
        },
        { name: "Action", cell: (entry) => h("code", {}, plain(entry.action)) },
        { name: "Resource", wrap: true, cell: (entry) => line(entry.resource) },
        { name: "Outcome", cell: (entry) => badge(word(entry.outcome, "AUDIT_OUTCOME")) },
        { name: "Reason", wrap: true, cell: (entry) => line(entry.reason ?? "") },
      ],
      entries,
      {
        id: (entry) => entry.sequence,
        current: this.query.entry ?? null,
        pick: (entry) => this.app.with({ entry: entry.sequence }),
        none: empty(
          "No entries",
          this.asked === "[null,null,null,null,null,null,null]"
            ? "Nothing was done yet."
            : "Nothing matches the filters.",
        ),
      },
    );
  }

  #detail(entry) {
    const agent = entry.kind === "PRINCIPAL_KIND_AGENT" ? last(entry.agent) : "";
    return panel(
      `Entry ${number(count(entry.sequence))}`,
      {
        key: `entry-${entry.sequence}`,
        actions: [button("\u00d7", () => this.app.with({ entry: "" }), { kind: "plain", name: "Close the entry" })],
      },
      entry.erased ? h("p", { class: "warning" }, "What this entry told of the agent was erased.") : null,
      facts([
        ["Time", moment(time(entry.event_time) ?? time(entry.create_time))],
        ["Who", agent ? agentLink(entry.agent) : line(entry.agent ?? "")],
        ["As", word(entry.kind, "PRINCIPAL_KIND")],
        ["Method", h("code", {}, plain(entry.method ?? ""))],
        ["Action", h("code", {}, plain(entry.action))],
        ["Resource", entry.resource ? line(entry.resource) : null],
        ["Outcome", badge(word(entry.outcome, "AUDIT_OUTCOME"))],
        ["Reason", entry.reason ? line(entry.reason) : null],
        [
          "Policies",
          (entry.policies ?? []).length
            ? entry.policies.map((name) =>
                h(
                  "a",
                  { key: name, href: address("policies", { policy: name.split("#")[0].replace("policies/", "") }) },
                  plain(name),
                  " ",
                ),
              )
            : null,
        ],
        [
          "Approval",
          entry.approval
            ? h("a", { href: address("approvals", { id: last(entry.approval) }) }, plain(last(entry.approval)))
            : null,
        ],
        [
          "Call",
          entry.syscall_id
            ? h("a", { href: address("audit", { call: entry.syscall_id }) }, plain(entry.syscall_id))
            : null,
        ],
        ["Agent's calls", agent ? h("a", { href: address("agent", { id: agent, tab: "tools" }) }, "open") : null],
        ["SHA-256 of arguments", entry.arguments_sha256 ? h("code", {}, plain(entry.arguments_sha256)) : null],
        ["Trace", entry.trace_id ? h("code", {}, plain(entry.trace_id)) : null],
        ["Note", entry.note ? line(entry.note) : null],
        ["Seal", entry.hash ? h("code", {}, plain(entry.hash)) : null],
      ]),
    );
  }
}
