// What runs and waits at this moment, and why.

import { count, last, seconds } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { counted, number, span } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { address } from "../lib/router.js";
import { Rows } from "../lib/rows.js";
import { Schedule } from "../lib/schedule.js";
import { Spans } from "../lib/spans.js";
import { line, plain } from "../lib/text.js";
import {
  agentLink,
  badge,
  button,
  callId,
  choices,
  empty,
  figure,
  panel,
  problem,
  table,
  told,
} from "../lib/widgets.js";
import { PolicyPanel } from "./now_policy.js";
import { cancelCall } from "./actions.js";

const WINDOW_MS = 60_000;
const SHORTEST_MS = 15_000;
const EXPLAINED = 50;
const CLASSES = ["realtime", "interactive", "normal", "batch", "idle"];

export class NowPage {
  title = "Now";

  constructor(app) {
    this.app = app;
    this.schedule = new Schedule();
    this.skew = 0;
    const changed = () => app.changed();
    this.queue = new Loaded((signal) => app.api.call("scheduler/GetQueue", {}, { signal }), changed, { every: 2 });
    this.why = new Loaded((signal) => this.#explain(signal), changed, { every: 2 });
    this.policy = new PolicyPanel(app, () => this.kind);
    this.rows = new Rows({
      label: "Calls that wait",
      id: (call) => call.name,
      changed,
      columns: this.#columns(),
      open: (call) => app.go(address("agent", { id: call.agent })),
      keys: { x: (call) => cancelCall(app, call.name), Delete: (call) => cancelCall(app, call.name) },
    });
    this.spans = new Spans({
      label: "Who runs where",
      height: 220,
      picture: () => this.#picture(),
      told: (bar) => this.#told(bar),
      open: (bar) => app.go(address("agent", { id: bar.agent })),
    });
  }

  get kind() {
    return this.app.view.query.of === "tool" ? "tool" : "inference";
  }

  enter(_query, first) {
    if (first) {
      this.queue.load();
      this.why.load();
    }
    this.policy.load();
  }

  leave() {
    this.visible(false);
  }

  visible(shown) {
    for (const each of [this.queue, this.why]) {
      if (shown) each.load();
      else each.stop();
    }
  }

  topics() {
    return {
      schedule: {
        method: "scheduler/WatchSchedule",
        request: { initial: true },
        take: this.#take,
        failed: this.#failed,
      },
    };
  }

  #take = (message) => {
    const kind = message.kind ?? "";
    this.began ??= Date.now();
    const lost = this.schedule.lost;
    this.schedule.apply(message);
    this.error = null;
    this.heard = Date.now();
    if (this.schedule.latest) this.skew = Math.max(this.skew - 5, this.schedule.latest - this.heard);
    if (kind.endsWith("POLICY_CHANGED")) this.policy.load();
    if (this.schedule.lost > lost) this.app.feed.restart();
  };

  #failed = (refusal) => {
    this.error = refusal;
  };

  async #explain(signal) {
    const answer = await this.app.api.call("scheduler/ExplainWaits", { top: EXPLAINED }, { signal });
    return new Map((answer.waits ?? []).map((wait) => [wait.syscall?.name, wait]));
  }

  /** The server's time, as far as its events tell it. */
  get now() {
    return Date.now() + this.skew;
  }

  #columns() {
    const why = (call) => this.why.value?.get(call.name);
    return [
      { name: "agent", label: "Agent", width: "minmax(120px, 1fr)", cell: (call) => agentLink(call.name) },
      { name: "call", label: "Call", width: "104px", cell: (call) => callId(call.name) },
      {
        name: "class",
        label: "Class",
        width: "106px",
        cell: (call) => [
          call.class,
          call.boosted
            ? h("span", { class: "note", title: "it waited for long and was moved ahead" }, " boosted")
            : null,
        ],
      },
      {
        name: "waits",
        label: "Waits",
        width: "84px",
        align: "end",
        cell: (call) => span(this.schedule.waits(call, this.now)),
      },
      {
        name: "place",
        label: "Place",
        width: "60px",
        align: "end",
        cell: (call) => (why(call) ? number(count(why(call).position)) : "\u2013"),
      },
      {
        name: "why",
        label: "Why",
        width: "minmax(220px, 3fr)",
        cell: (call) =>
          h(
            "span",
            { class: "why", title: plain(why(call)?.summary ?? "") },
            line(reason(why(call)) || (this.why.error ? "not told" : "\u2013")),
          ),
      },
      {
        name: "act",
        label: h("span", { class: "hidden" }, "Cancel"),
        width: "76px",
        align: "end",
        cell: (call) =>
          button("Cancel", () => cancelCall(this.app, call.name), {
            kind: "small",
            name: `Cancel ${plain(last(call.name))}`,
          }),
      },
    ];
  }

  #picture() {
    const to = this.now;
    this.schedule.prune(to);
    const places = this.#places();
    return {
      bars: this.schedule.bars,
      rows: new Map(places.map(([key], place) => [key, place])),
      labels: places.map(([, label]) => label),
      depths: this.schedule.depths,
      from: to - Math.min(WINDOW_MS, Math.max(SHORTEST_MS, to - (this.began ?? to))),
      to,
      rowOf: (bar) => `${bar.replica}#${bar.slot}`,
      style: (bar) => (failed(bar) ? "failed" : bar.kind === "tool" ? "tool" : "run"),
    };
  }

  /** Rows of the picture: each slot of each replica that GetQueue tells, and what calls were seen on. */
  #places() {
    const found = new Map();
    for (const replica of this.replicas) {
      const slots = Math.min(count(replica.slots), 64);
      const shown = replica.slots > 8 && this.kind === "tool" ? 0 : slots; // a tool's slots beyond those in use are no rows
      for (let slot = 0; slot < shown; slot += 1)
        found.set(`${replica.name}#${slot}`, slots > 1 ? `${replica.name} #${slot + 1}` : replica.name);
    }
    for (const bar of this.schedule.bars) {
      const key = `${bar.replica}#${bar.slot}`;
      if (bar.kind === this.kind && !found.has(key)) found.set(key, `${bar.replica} #${bar.slot + 1}`);
    }
    return [...found].slice(0, 64);
  }

  get replicas() {
    return (this.queue.value?.replicas ?? []).filter(
      (each) => (each.lane === "tool" ? "tool" : "inference") === this.kind,
    );
  }

  get classes() {
    return (this.queue.value?.classes ?? []).filter(
      (each) => (each.lane === "tool" ? "tool" : "inference") === this.kind,
    );
  }

  #told(bar) {
    const length = span(((bar.to ?? this.now) - bar.from) / 1000);
    return `${bar.agent}\n${last(bar.call)} \u00b7 ${bar.class}\n${bar.to === null ? `runs for ${length}` : `ran ${length}, ${bar.end === "stopped" ? "then was preempted" : failed(bar) ? `ended: ${bar.end}` : "ended"}`}`;
  }

  view() {
    const waiting = this.schedule.waiting.filter((call) => call.kind === this.kind);
    const busy = !this.schedule.ready && !this.error;
    return [
      h(
        "div",
        { class: "title", key: "title" },
        h("h1", {}, "Now"),
        choices(
          "What is shown",
          [
            ["inference", "Inference"],
            ["tool", "Tools"],
          ],
          this.kind,
          (of) => this.app.with({ of: of === "tool" ? of : "" }),
        ),
        h("span", { class: "space" }),
        told(this.heard ? this.app.feed.asOf : null),
      ),
      problem(this.error ?? this.queue.error),
      this.#figures(waiting),
      panel(
        "Who runs where",
        { asOf: this.heard ? this.app.feed.asOf : null, note: "last minute", flush: true },
        this.#timeline(),
      ),
      h(
        "div",
        { class: "columns wide-left", key: "columns" },
        panel(
          "Queue",
          {
            asOf: this.why.asOf,
            note: counted(waiting.length, "call waits", "calls wait"),
            flush: true,
            class: "tall",
          },
          this.why.error && !this.why.error.expired
            ? h("p", { class: "quiet inset", key: "mute" }, "Why they wait is not told: ", line(this.why.error.message))
            : null,
          this.#chosen(),
          this.rows.view(waiting, {
            busy,
            empty: busy
              ? h("p", { class: "quiet" }, "Asking\u2026")
              : empty("Nothing waits", "Every call that was made has a slot."),
          }),
        ),
        h("div", { class: "stack" }, this.policy.view(this.classes), this.#replicaPanel()),
      ),
    ];
  }

  #figures(waiting) {
    const slots = this.replicas.filter((each) => each.up).reduce((sum, each) => sum + count(each.slots), 0);
    const running = this.schedule.ready
      ? this.schedule.atWork.filter((call) => call.kind === this.kind).length
      : this.classes.reduce((sum, each) => sum + count(each.running_count), 0);
    const longest = waiting.reduce(
      (most, call) =>
        most && this.schedule.waits(most, 0) - most.since / 1000 >= this.schedule.waits(call, 0) - call.since / 1000
          ? most
          : call,
      null,
    );
    const by = CLASSES.map((name) => [name, waiting.filter((call) => call.class === name).length]).filter(
      ([, total]) => total,
    );
    return h(
      "dl",
      { class: "figures", key: "figures" },
      figure("Running", number(running), {
        unit: `of ${counted(slots, "slot")}`,
        meter: { value: running, of: slots },
      }),
      figure("Waiting", number(waiting.length), {
        note: by.map(([name, total]) => `${total} ${name}`).join(", ") || "nobody",
        tone: waiting.length ? "warn" : "",
      }),
      figure("Oldest wait", span(longest ? this.schedule.waits(longest, this.now) : null), {
        note: longest ? plain(longest.agent) : "no call waits",
      }),
      figure("Preempted", number(count(this.queue.value?.preemption_count)), { note: "since the start" }),
      figure("Replicas", number(this.replicas.filter((each) => each.up).length), {
        unit: `of ${this.replicas.length} up`,
        tone: this.replicas.some((each) => !each.up) ? "bad" : "",
      }),
    );
  }

  /** All that is known of why the current call waits. */
  #chosen() {
    const call = this.rows.item;
    const wait = call ? this.why.value?.get(call.name) : null;
    return h(
      "div",
      { class: "inset chosen", role: "status", key: "chosen" },
      wait
        ? [
            h("p", {}, line(wait.summary)),
            (wait.ahead ?? []).length
              ? h(
                  "p",
                  { class: "note" },
                  "Ahead: ",
                  wait.ahead.slice(0, 5).map((each) => [agentLink(each.name), " ", line(each.why), "; "]),
                  wait.ahead.length > 5 ? "\u2026" : "",
                )
              : null,
          ]
        : h(
            "p",
            { class: "quiet" },
            call
              ? "Why it waits is asked for the first calls only."
              : "Select a call to read all of why it waits; x cancels it.",
          ),
    );
  }

  #timeline() {
    if (this.queue.value && !this.replicas.length && !this.schedule.atWork.length) {
      return empty(
        this.kind === "tool" ? "No tool is attached" : "No model is attached",
        this.kind === "tool"
          ? "Calls of tools show here once one is registered."
          : "Calls wait until an inference server answers.",
      );
    }
    return this.spans.view(
      table(
        "Calls that run",
        [
          { name: "Replica", cell: (call) => line(call.replica) },
          { name: "Slot", cell: (call) => call.slot + 1, align: "end" },
          { name: "Agent", cell: (call) => agentLink(call.name) },
          { name: "Call", cell: (call) => callId(call.name) },
          { name: "Class", cell: (call) => call.class },
          { name: "State", cell: (call) => badge(call.state) },
          { name: "Tokens", cell: (call) => number(call.tokens), align: "end" },
          { name: "For", cell: (call) => span((this.now - call.since) / 1000), align: "end" },
        ],
        this.schedule.atWork.filter((call) => call.kind === this.kind),
        { id: (call) => call.name, none: h("p", { class: "quiet" }, "Nothing runs.") },
      ),
    );
  }

  #replicaPanel() {
    return panel(
      "Replicas",
      { asOf: this.queue.asOf, flush: true },
      table(
        "Replicas",
        [
          { name: "Replica", cell: (each) => h("a", { href: address("tools", { tab: "models" }) }, line(each.name)) },
          { name: "State", cell: (each) => badge(each.up ? "up" : "down") },
          { name: "Slots", align: "end", cell: (each) => `${count(each.running_count)} / ${count(each.slots)}` },
          { name: "Tokens", align: "end", cell: (each) => tokens(each) },
        ],
        this.replicas,
        {
          id: (each) => each.name,
          none: empty("None", this.kind === "tool" ? "No tool has run yet." : "No inference server is attached."),
        },
      ),
    );
  }
}

/** Tokens in flight, of the budget where there is one: servers that tell none have a bound that is none. */
export function tokens(replica) {
  const flight = number(count(replica.tokens_in_flight));
  const budget = count(replica.token_budget);
  return budget > 0 && budget < 1e12 ? `${flight} / ${number(budget)}` : flight;
}

const failed = (bar) => bar.to !== null && !["done", "stopped", ""].includes(bar.end);

/** Why a call waits, in one line: what binds, who is ahead, and when it should start. */
export function reason(wait) {
  if (!wait) return "";
  const ahead = count(wait.position) - 1;
  const start = seconds(wait.predicted_wait);
  return [
    wait.binding_limit,
    ahead > 0 ? `${counted(ahead, "call")} ahead` : "",
    wait.in_lane ? "in the lane against starvation" : "",
    start === null ? "" : `starts in about ${span(start)}`,
  ]
    .filter(Boolean)
    .join("; ");
}
