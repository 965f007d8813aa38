// What waits and runs, folded from WatchSchedule: the start it tells, then each event once, by its number.

import { agentOf, count, sequence, seconds, time, word } from "./decode.js";

export const KEPT_MS = 120_000;
const MOST_BARS = 8000;

/** The schedule as told so far. Times are the server's, in milliseconds. */
export class Schedule {
  constructor() {
    this.version = 0;
    this.lost = 0;
    this.preempted = 0;
    this.latest = 0;
    this.boosted = new Set();
    this.reset();
  }

  reset() {
    this.calls = new Map();
    this.slots = new Map();
    this.bars = [];
    this.depths = [];
    this.sequence = 0n;
    this.ready = false;
    this.running = 0;
    this.#starting = false;
    this.version += 1;
  }

  #starting = false;

  /** Take one message of WatchSchedule. What is known already is passed over. Return whether it changed anything. */
  apply(message) {
    const kind = word(message.kind, "SCHEDULE_EVENT_KIND");
    const number = sequence(message.sequence);
    const at = time(message.time) ?? this.latest;
    if (kind === "known started") return this.#begin(number);
    if (kind === "known ended") return this.#begun(at);
    if (kind === "known") return this.#known(message.syscall ?? {}, at);
    if (number !== 0n && number <= this.sequence) return false;
    if (number !== 0n) this.sequence = number;
    this.lost += count(message.lost_count);
    this.latest = Math.max(this.latest, at);
    this.#happened(kind, message, at);
    this.version += 1;
    return true;
  }

  #begin(number) {
    const bars = this.bars.filter((bar) => bar.to !== null);
    const { depths } = this;
    this.reset();
    Object.assign(this, { bars, depths, sequence: number });
    this.#starting = true;
    return true;
  }

  #begun(at) {
    this.latest = Math.max(this.latest, at);
    this.#starting = false;
    this.ready = true;
    this.#depth(at);
    this.version += 1;
    return true;
  }

  #known(syscall, at) {
    this.latest = Math.max(this.latest, at);
    const call = this.#update(syscall, at);
    if (call && call.state !== "waiting") this.#run(call, syscall.replica, at);
    return true;
  }

  #happened(kind, message, at) {
    const syscall = message.syscall ?? {};
    if (kind === "class boost started") this.boosted.add(word(message.scheduling_class, "SCHEDULING_CLASS"));
    if (kind === "class boost ended") this.boosted.delete(word(message.scheduling_class, "SCHEDULING_CLASS"));
    if (!syscall.name) return;
    const call = this.#update(syscall, at);
    if (kind === "granted") this.#run(call, syscall.replica, at, message.from_lane);
    else if (kind === "preempted") {
      this.preempted += 1;
      call.state = "preempting";
    } else if (kind === "yielded") this.#wait(call, at, "stopped");
    else if (kind === "submitted" && call.state !== "waiting") this.#wait(call, at, "stopped");
    else if (kind === "boosted") call.boosted = true;
    else if (kind === "finished" || kind === "rejected") this.#gone(call, at, message.outcome ?? kind);
    this.#depth(at);
  }

  #update(syscall, at) {
    if (!syscall.name) return null;
    let call = this.calls.get(syscall.name);
    if (!call) {
      call = {
        name: syscall.name,
        agent: agentOf(syscall.name),
        state: "waiting",
        since: at,
        arrived: time(syscall.arrive_time) ?? at,
        replica: "",
        slot: -1,
        bar: null,
        boosted: false,
        waited: 0,
        before: 0,
      };
      this.calls.set(syscall.name, call);
    }
    call.class = word(syscall.scheduling_class, "SCHEDULING_CLASS");
    call.priority = count(syscall.priority);
    call.model = syscall.model ?? "";
    call.kind = syscall.lane === "tool" ? "tool" : "inference";
    call.promptTokens = count(syscall.prompt_tokens);
    call.tokens = Math.max(count(syscall.tokens_done), call.tokens ?? 0);
    call.most = count(syscall.max_new_tokens);
    call.preemptions = count(syscall.preemption_count);
    call.waited = Math.max(seconds(syscall.wait) ?? 0, call.waited);
    const known = word(syscall.state, "SYSCALL_STATE");
    if (this.#starting && known) call.state = known;
    return call;
  }

  #run(call, replica, at, fromLane = false) {
    if (call.bar) this.#release(call, at, "stopped");
    if (!this.#starting && call.state === "waiting")
      call.waited = Math.max(call.waited, call.before + (at - call.since) / 1000);
    call.state = call.state === "preempting" && this.#starting ? "preempting" : "running";
    call.replica = replica || call.replica || "?";
    call.since = at;
    const taken = this.slots.get(call.replica) ?? [];
    const free = taken.indexOf(null);
    call.slot = free === -1 ? taken.length : free;
    taken[call.slot] = call.name;
    this.slots.set(call.replica, taken);
    call.bar = {
      call: call.name,
      agent: call.agent,
      class: call.class,
      kind: call.kind,
      replica: call.replica,
      slot: call.slot,
      from: at,
      to: null,
      end: "",
      lane: fromLane,
    };
    this.bars.push(call.bar);
    if (this.bars.length > MOST_BARS) this.bars.splice(0, MOST_BARS / 4);
    this.running += 1;
  }

  /** Seconds of all waits of a call so far. */
  waits(call, now) {
    return call.waited + (call.state === "waiting" ? Math.max(0, now - call.since) / 1000 : 0);
  }

  #release(call, at, end) {
    if (!call.bar) return;
    Object.assign(call.bar, { to: at, end });
    call.bar = null;
    const taken = this.slots.get(call.replica);
    if (taken?.[call.slot] === call.name) taken[call.slot] = null;
    this.running -= 1;
  }

  #wait(call, at, end) {
    this.#release(call, at, end);
    Object.assign(call, { state: "waiting", since: at, before: call.waited, replica: "", slot: -1 });
  }

  #gone(call, at, outcome) {
    this.#release(call, at, outcome === "completed" ? "done" : outcome);
    this.calls.delete(call.name);
  }

  #depth(at) {
    if (this.#starting) return;
    const waiting = this.calls.size - this.running;
    const before = this.depths.at(-1);
    if (before && at - before.at < 100) before.waiting = waiting;
    else if (!before || before.waiting !== waiting) this.depths.push({ at, waiting });
  }

  /** Forget what no picture shows any more. */
  prune(now) {
    const oldest = now - KEPT_MS;
    if (this.bars.length && this.bars[0].from < oldest)
      this.bars = this.bars.filter((bar) => bar.to === null || bar.to >= oldest);
    const first = this.depths.findIndex((each) => each.at >= oldest);
    if (first > 1) this.depths.splice(0, first - 1);
  }

  /** Calls that wait, the one that came first first. */
  get waiting() {
    return [...this.calls.values()]
      .filter((call) => call.state === "waiting")
      .sort((a, b) => a.arrived - b.arrived || (a.name < b.name ? -1 : 1));
  }

  /** Calls that run, by place. */
  get atWork() {
    return [...this.calls.values()]
      .filter((call) => call.state !== "waiting")
      .sort((a, b) => (a.replica === b.replica ? a.slot - b.slot : a.replica < b.replica ? -1 : 1));
  }
}
