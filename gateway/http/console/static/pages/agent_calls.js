// What an agent's calls wait and run, over time: each a row, waiting apart from running.

import { agentOf, count, last, seconds, time, word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { clock, counted, number, span } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { Schedule } from "../lib/schedule.js";
import { Spans } from "../lib/spans.js";
import { line, plain } from "../lib/text.js";
import { agentLink, badge, button, callId, choices, empty, panel, problem, table } from "../lib/widgets.js";
import { cancelCall } from "./actions.js";

const ROWS = 40;
const SHORT = 14;
const RANGES = [
  ["60", "1 min"],
  ["600", "10 min"],
  ["3600", "1 h"],
];
const EVERY_SECONDS = 5;

export class CallsTab {
  constructor(app, page) {
    Object.assign(this, { app, page });
    this.schedule = new Schedule();
    this.past = new Map();
    this.skew = 0;
    this.before = new Loaded(
      (signal) =>
        app.api.all(
          "scheduler/ListPastSyscalls",
          { parent: page.name, failed_only: this.query.only === "failed" },
          "syscalls",
          { most: 200, size: 200, signal },
        ),
      () => app.changed(),
      { every: EVERY_SECONDS },
    );
    this.spans = new Spans({
      label: "Calls over time",
      height: 240,
      picture: () => this.#picture(),
      told: (bar) => this.#told(bar),
      open: (bar) => app.with({ call: last(bar.call) }),
    });
  }

  enter(query, first) {
    const before = this.query?.only;
    this.query = query;
    if (first || before !== query.only) this.before.load();
  }

  leave() {
    this.before.stop();
  }

  visible(shown) {
    if (shown) this.before.load();
    else this.before.stop();
  }

  topics() {
    return {
      schedule: {
        method: "scheduler/WatchSchedule",
        request: { parent: this.page.name, initial: true },
        take: this.#take,
        failed: this.#failed,
      },
    };
  }

  #take = (message) => {
    const kind = word(message.kind, "SCHEDULE_EVENT_KIND");
    const name = message.syscall?.name;
    const known = name ? this.schedule.calls.get(name) : null;
    if (known && (kind === "finished" || kind === "rejected")) this.#ended(known, message);
    if (this.schedule.apply(message) && name && kind === "granted") this.#waited(this.schedule.calls.get(name));
    this.heard = Date.now();
    this.error = null;
    if (this.schedule.latest) this.skew = Math.max(this.skew - 5, this.schedule.latest - this.heard);
  };

  #failed = (refusal) => {
    this.error = refusal;
  };

  /** Keep a call that ended while the page was open; what ended before the scheduler tells itself. */
  #ended(call, message) {
    this.past.set(call.name, {
      ...call,
      ended: time(message.time) ?? this.now,
      outcome: message.outcome || word(message.kind, "SCHEDULE_EVENT_KIND"),
      tokens: Math.max(call.tokens, count(message.syscall.tokens_done)),
    });
    if (this.past.size > 400) this.past.delete(this.past.keys().next().value);
  }

  #waited(call) {
    this.waits ??= [];
    this.waits.push({ call: call.name, from: call.arrived, to: call.since });
    if (this.waits.length > 1000) this.waits.splice(0, 200);
  }

  get now() {
    return Date.now() + this.skew;
  }

  /** All calls known, newest first: those at work, those seen to end, and those that the scheduler remembers. */
  get calls() {
    const all = new Map();
    for (const past of this.before.value?.items ?? []) {
      const call = remembered(past);
      all.set(call.name, call);
    }
    for (const [name, call] of this.past) if (!all.get(name)?.outcome) all.set(name, call);
    for (const call of this.schedule.calls.values()) all.set(call.name, call);
    const failed = this.query.only === "failed";
    return [...all.values()]
      .filter((call) => !failed || (call.outcome && !good(call.outcome)))
      .sort((a, b) => b.arrived - a.arrived || (a.name < b.name ? -1 : 1));
  }

  #picture() {
    const to = this.now;
    const from = to - this.range * 1000;
    const shown = this.calls.filter((call) => (call.ended ?? to) >= from).slice(0, ROWS);
    const rows = new Map(shown.map((call, place) => [call.name, place]));
    const seen = new Set(this.schedule.bars.map((bar) => bar.call));
    const bars = [];
    for (const call of shown) {
      const started =
        call.started ??
        this.waits?.find((each) => each.call === call.name)?.to ??
        (call.state === "waiting" ? to : call.since);
      bars.push({
        call: call.name,
        agent: call.agent,
        kind: "wait",
        label: "",
        from: call.arrived,
        to: Math.max(call.arrived, started),
        end: "",
      });
      if (call.state === "waiting" && call.since > call.arrived)
        bars.push({ call: call.name, agent: call.agent, kind: "wait", label: "", from: call.since, to: null, end: "" });
      if (!seen.has(call.name) && call.ended)
        bars.push({
          call: call.name,
          agent: call.agent,
          kind: call.kind,
          from: started,
          to: call.ended,
          end: good(call.outcome) ? "done" : "failed",
          label: last(call.name),
        });
    }
    for (const bar of this.schedule.bars) bars.push({ ...bar, label: last(bar.call) });
    return {
      bars,
      rows,
      labels: shown.map((call) => last(call.name).slice(0, SHORT)),
      from,
      to,
      rowOf: (bar) => bar.call,
      style: (bar) =>
        bar.kind === "wait"
          ? "wait"
          : bar.end === "failed" || (bar.to !== null && !["done", "stopped", ""].includes(bar.end))
            ? "failed"
            : bar.kind === "tool"
              ? "tool"
              : "run",
    };
  }

  get range() {
    return RANGES.some(([value]) => value === this.query.range) ? Number(this.query.range) : 60;
  }

  #told(bar) {
    const length = span(((bar.to ?? this.now) - bar.from) / 1000);
    return `${last(bar.call)}\n${bar.kind === "wait" ? "waited" : bar.to === null ? "runs for" : "ran"} ${length}${bar.end === "stopped" ? ", then was preempted" : ""}\nfrom ${clock(bar.from)}`;
  }

  view() {
    const { calls } = this;
    const failed = this.query.only === "failed";
    return [
      problem(this.error),
      panel(
        "Over time",
        {
          asOf: this.heard ? this.app.feed.asOf : null,
          flush: true,
          actions: [
            choices("Range", RANGES, String(this.range), (range) =>
              this.app.with({ range: range === "60" ? "" : range }),
            ),
          ],
        },
        h(
          "div",
          { class: "legend inset" },
          h("span", {}, h("i", { class: "wait" }), "waits"),
          h("span", {}, h("i", { class: "run" }), "generates"),
          h("span", {}, h("i", { class: "tool" }), "runs a tool"),
          h("span", {}, h("i", { class: "stopped" }), "preempted here"),
          h("span", {}, h("i", { class: "failed" }), "failed"),
        ),
        this.spans.view(h("p", { class: "quiet" }, "The table below tells the same calls.")),
      ),
      panel(
        "Calls, newest first",
        {
          asOf: this.before.asOf ?? (this.heard ? this.app.feed.asOf : null),
          flush: true,
          note: counted(calls.length, "call"),
          actions: [
            choices(
              "Which calls",
              [
                ["", "All"],
                ["failed", "Failed only"],
              ],
              failed ? "failed" : "",
              (only) => this.app.with({ only }),
            ),
          ],
        },
        this.before.error && !this.before.error.expired
          ? h(
              "p",
              { class: "quiet inset", key: "past" },
              this.before.error.missing
                ? "This kernel does not remember calls that ended before this page was opened."
                : ["Calls that ended earlier are not told: ", line(this.before.error.message)],
            )
          : null,
        table(
          "Calls",
          [
            {
              name: "Call",
              cell: (call) => [
                callId(call.name),
                call.name.startsWith(`${this.page.name}/`)
                  ? null
                  : h("span", { class: "note" }, " of ", agentLink(call.name)),
              ],
            },
            {
              name: "State",
              cell: (call) => badge(call.outcome ? shown(call.outcome) : call.state, plain(call.outcome ?? "")),
            },
            {
              name: "Of",
              cell: (call) => (call.kind === "tool" ? line(call.model || "tool") : line(call.model || "\u2013")),
            },
            { name: "Class", cell: (call) => call.class },
            { name: "Came", cell: (call) => clock(call.arrived) },
            {
              name: "Waited",
              align: "end",
              cell: (call) => span(call.outcome ? call.waited : this.schedule.waits(call, this.now)),
            },
            { name: "Ran", align: "end", cell: (call) => span(call.ran ?? this.#ran(call)) },
            {
              name: "Tokens",
              align: "end",
              cell: (call) =>
                call.kind === "tool" ? "\u2013" : `${number(call.promptTokens)} + ${number(call.tokens)}`,
            },
            { name: "Preempted", align: "end", cell: (call) => number(call.preemptions) },
            {
              name: "Ended",
              cell: (call) =>
                call.outcome
                  ? line(call.outcome.toLowerCase().replaceAll("_", " "))
                  : button("Cancel", () => cancelCall(this.app, call.name), {
                      kind: "small",
                      name: `Cancel ${plain(last(call.name))}`,
                    }),
            },
          ],
          calls.slice(0, 200),
          {
            id: (call) => call.name,
            current: this.query.call ? (calls.find((call) => last(call.name) === this.query.call)?.name ?? null) : null,
            none: failed
              ? empty("No call failed", "As far as calls are remembered.")
              : empty("No calls yet", "A call shows here as soon as the agent makes one."),
          },
        ),
      ),
    ];
  }

  #ran(call) {
    const bars = this.schedule.bars.filter((bar) => bar.call === call.name);
    return bars.length ? bars.reduce((sum, bar) => sum + ((bar.to ?? this.now) - bar.from) / 1000, 0) : null;
  }
}

const good = (outcome) => outcome === "completed";
const shown = (outcome) => (good(outcome) ? "done" : outcome === "cancelled" ? "cancelled" : "failed");

/** A call that ended, as the scheduler remembers it. */
function remembered(past) {
  const tool = past.lane === "tool";
  return {
    name: past.name,
    agent: agentOf(past.name),
    class: word(past.scheduling_class, "SCHEDULING_CLASS"),
    model: past.model ?? "",
    kind: tool ? "tool" : "inference",
    promptTokens: count(past.prompt_tokens),
    tokens: count(past.new_tokens),
    preemptions: count(past.preemption_count),
    arrived: time(past.arrive_time) ?? time(past.end_time) ?? 0,
    started: time(past.start_time),
    ended: time(past.end_time),
    waited: seconds(past.wait),
    ran: seconds(past.run) ?? 0,
    state: "done",
    outcome: past.outcome || "completed",
  };
}
