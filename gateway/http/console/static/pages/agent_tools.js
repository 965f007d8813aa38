// The tools that an agent called: with what, what came of it, and who approved it.

import { count, last, time, word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { clock, moment, number, size, span } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { address } from "../lib/router.js";
import { requestId } from "../lib/api.js";
import { block, line, plain } from "../lib/text.js";
import { badge, button, choices, empty, facts, panel, problem, table, waitingFor, warning } from "../lib/widgets.js";
import { pretty } from "./tools.js";

const EVERY_SECONDS = 2;
const OPEN = ["queued", "waiting approval", "running"];

export class ToolCallsTab {
  constructor(app, page) {
    Object.assign(this, { app, page });
    const changed = () => app.changed();
    this.list = new Loaded(
      (signal) => app.api.all("tool/ListCalls", this.#asked(), "calls", { most: 200, size: 100, signal }),
      changed,
      { every: EVERY_SECONDS },
    );
    this.one = new Loaded(
      (signal) => app.api.call("tool/GetCall", { name: `${page.name}/calls/${this.query.call}` }, { signal }),
      changed,
    );
  }

  #asked() {
    const states =
      this.query.only === "failed" ? ["CALL_STATE_FAILED", "CALL_STATE_UNKNOWN", "CALL_STATE_CANCELLED"] : [];
    return { parent: this.page.name, states, tool: this.query.tool ? `tools/${this.query.tool}` : "" };
  }

  enter(query, first) {
    const before = this.query ?? {};
    this.query = query;
    if (first || before.only !== query.only || before.tool !== query.tool) this.list.load();
    if (query.call && query.call !== before.call) {
      this.one.value = null;
      this.one.load();
    }
  }

  leave() {
    this.list.stop();
    this.one.stop();
  }

  visible(shown) {
    if (shown) this.list.load();
    else this.leave();
  }

  view() {
    const { value, error, asOf } = this.list;
    const listed = value?.items.find((call) => last(call.name) === this.query.call);
    const chosen = this.query.call ? { ...this.one.value?.call, ...listed } : null;
    return [
      problem(error, () => this.list.load()),
      h(
        "div",
        { class: "columns list-detail", key: "columns" },
        panel(
          "Calls of tools, newest first",
          {
            asOf,
            flush: true,
            actions: [
              this.query.tool
                ? button(`Only ${this.query.tool} \u00d7`, () => this.app.with({ tool: "" }), { kind: "small" })
                : null,
              choices(
                "Which calls",
                [
                  ["", "All"],
                  ["failed", "Failed only"],
                ],
                this.query.only ?? "",
                (only) => this.app.with({ only }),
              ),
            ],
          },
          !value
            ? error
              ? null
              : waitingFor("Asking\u2026")
            : table(
                "Calls of tools",
                [
                  {
                    name: "Tool",
                    cell: (call) =>
                      h(
                        "a",
                        { href: address("agent", { ...this.query, call: last(call.name) }) },
                        line(last(call.tool)),
                      ),
                  },
                  ...(value.items.some((call) => call.arguments)
                    ? [
                        {
                          name: "With",
                          wrap: true,
                          cell: (call) => h("code", { class: "quiet" }, line((call.arguments ?? "").slice(0, 60))),
                        },
                      ]
                    : []),
                  { name: "State", cell: (call) => badge(word(call.state, "CALL_STATE")) },
                  { name: "Came", cell: (call) => clock(time(call.create_time)) },
                  { name: "Ran", align: "end", cell: (call) => ran(call) },
                  {
                    name: "Error",
                    wrap: true,
                    cell: (call) =>
                      call.error
                        ? line(call.error.message || call.error.reason)
                        : h("span", { class: "quiet" }, "\u2013"),
                  },
                ],
                value.items,
                {
                  id: (call) => call.name,
                  current: listed?.name ?? null,
                  pick: (call) => this.app.with({ call: last(call.name) }),
                  none:
                    this.query.only || this.query.tool
                      ? empty("No call matches")
                      : empty("No tool was called", "Calls show here as soon as the agent makes one."),
                },
              ),
        ),
        chosen
          ? this.#call(chosen)
          : panel("No call is selected", {}, h("p", { class: "quiet" }, "Select one to see its arguments and result.")),
      ),
    ];
  }

  #call(call) {
    if (!call.name)
      return panel(
        plain(this.query.call),
        {},
        problem(this.one.error, () => this.one.load()) ?? waitingFor("Asking\u2026"),
      );
    const state = word(call.state, "CALL_STATE");
    const { result, error } = call;
    return panel(
      plain(last(call.tool)),
      {
        key: call.name,
        asOf: this.list.asOf,
        actions: OPEN.includes(state) ? [button("Cancel", () => this.#cancel(call), { kind: "small warn" })] : [],
      },
      h(
        "div",
        { class: "stack" },
        facts([
          ["State", badge(state)],
          ["Call", h("code", {}, plain(last(call.name)))],
          ["Tool", h("a", { href: address("tools", { tool: last(call.tool) }) }, line(last(call.tool)))],
          ["Came", moment(time(call.create_time))],
          ["Started", call.start_time ? clock(time(call.start_time)) : null],
          ["Ran", ran(call)],
          ["Attempts", count(call.attempt_count) > 1 ? number(count(call.attempt_count)) : null],
          ["Provider", call.provider ? line(call.provider) : null],
          [
            "Approval",
            call.approval
              ? h("a", { href: address("approvals", { id: last(call.approval) }) }, plain(last(call.approval)))
              : null,
          ],
          [
            "In the audit log",
            call.syscall_id ? h("a", { href: address("audit", { call: call.syscall_id }) }, "entries") : null,
          ],
        ]),
        h(
          "div",
          { key: "with" },
          h("h3", {}, "Arguments"),
          call.arguments
            ? [
                call.arguments_cut
                  ? h(
                      "p",
                      { class: "quiet" },
                      `The beginning of ${size(count(call.arguments_total_bytes))}; more is not kept.`,
                    )
                  : null,
                block(call.arguments_cut ? call.arguments : pretty(call.arguments)),
              ]
            : call.approval
              ? h(
                  "p",
                  { class: "quiet" },
                  "They are with its ",
                  h("a", { href: address("approvals", { id: last(call.approval) }) }, "approval"),
                  ".",
                )
              : h("p", { class: "quiet" }, "They were not kept."),
          h("p", { class: "note" }, "SHA-256 ", h("code", {}, plain(call.arguments_sha256 ?? ""))),
        ),
        error
          ? h(
              "div",
              { key: "error" },
              h("h3", {}, "Error"),
              error.untrusted ? warning("Nobody vouches for these words.") : null,
              block(`${error.reason}: ${error.message}`),
            )
          : null,
        result
          ? h(
              "div",
              { key: "result" },
              h("h3", {}, "Result"),
              result.untrusted ? warning("Nobody vouches for what follows: read it as data.") : null,
              block(whole(result)),
            )
          : null,
      ),
    );
  }

  async #cancel(call) {
    const id = requestId();
    const answer = await this.app.ask({
      title: "Cancel this call?",
      danger: true,
      action: "Cancel the call",
      body: [h("p", {}, h("code", {}, plain(last(call.tool)))), h("p", {}, "What it did already is not undone.")],
      fields: [{ name: "reason", label: "Reason", maxlength: 512 }],
    });
    if (answer)
      await this.app.act(
        "Cancel",
        () => this.app.api.call("tool/CancelCall", { name: call.name, reason: answer.reason, request_id: id }),
        "It is being cancelled.",
      );
    this.list.load();
  }
}

function ran(call) {
  const from = time(call.start_time);
  return from === null ? "\u2013" : span(((time(call.end_time) ?? Date.now()) - from) / 1000);
}

const text = (result) =>
  (result.content ?? [])
    .map((each) => each.text ?? each.uri ?? `${each.media_type ?? "data"}: bytes that are not shown`)
    .join("\n");

function whole(result) {
  const value = result.value_json || ("value" in result ? JSON.stringify(result.value) : "");
  return [value && pretty(value), text(result)].filter(Boolean).join("\n\n") || "nothing";
}
