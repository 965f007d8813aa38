// Calls that wait for a person: who wants what, with the arguments exactly as they would be used.

import { requestId } from "../lib/api.js";
import { count, last, time, word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { clock, moment, size, span } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { address } from "../lib/router.js";
import { block, line, plain } from "../lib/text.js";
import {
  agentLink,
  badge,
  button,
  choices,
  empty,
  facts,
  panel,
  problem,
  waitingFor,
  warning,
} from "../lib/widgets.js";

const SHOWN = [
  ["", "Pending"],
  ["decided", "Decided"],
];
const DECIDED = ["APPROVED", "REJECTED", "USED", "EXPIRED", "CANCELLED"].map((state) => `APPROVAL_STATE_${state}`);
const PART = 262_144;
const MOST_PARTS = 16;

export class ApprovalsPage {
  title = "Approvals";

  constructor(app) {
    this.app = app;
    const changed = () => app.changed();
    this.decided = new Loaded(
      (signal) =>
        app.api.all("access/ListApprovals", { states: DECIDED }, "approvals", { most: 200, size: 200, signal }),
      changed,
    );
    this.one = new Loaded((signal) => app.api.call("access/GetApproval", { name: this.chosen }, { signal }), changed);
    this.arguments = new Loaded((signal) => this.#whole(signal), changed);
    this.chosen = "";
  }

  enter(query, first) {
    this.query = query;
    if (first) {
      this.stop = this.app.pending.listen((approval) => this.#heard(approval));
      document.addEventListener("keydown", this.#key);
    }
    if (query.show === "decided" && !this.decided.value) this.decided.load();
    this.#choose(query.id ? `approvals/${query.id}` : "");
  }

  leave() {
    this.stop();
    document.removeEventListener("keydown", this.#key);
    this.one.stop();
    this.arguments.stop();
  }

  #heard(approval) {
    if (approval.name === this.chosen) this.one.value = { approval };
    if (word(approval.state, "APPROVAL_STATE") !== "pending" && this.query.show === "decided") this.decided.load();
  }

  #choose(name) {
    if (name === this.chosen) return;
    this.chosen = name;
    Object.assign(this.one, { value: null, error: null });
    Object.assign(this.arguments, { value: null, error: null });
    this.one.stop();
    this.arguments.stop();
    if (!name) return;
    this.one.load();
    this.arguments.load();
  }

  /** Fetch all of the arguments: nobody approves a preview. */
  async #whole(signal) {
    let shown = "";
    let offset = 0;
    let told = null;
    for (let part = 0; part < MOST_PARTS; part += 1) {
      told = await this.app.api.call(
        "access/GetApprovalArguments",
        { name: this.chosen, offset: String(offset), max_bytes: PART },
        { signal },
      );
      shown += told.shown ?? "";
      offset = count(told.next_offset);
      if (!offset) break;
    }
    return { shown, sha256: told.arguments_sha256 ?? "", bytes: count(told.total_bytes), whole: offset === 0 };
  }

  get list() {
    if (this.query.show === "decided") return this.decided.value?.items ?? [];
    return [...this.app.pending.waiting.values()].sort((a, b) => (a.expire_time < b.expire_time ? -1 : 1));
  }

  #key = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, dialog"))
      return;
    const at = this.list.findIndex((each) => each.name === this.chosen);
    const step = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && (event.key.length === 1 || event.target.closest?.(".list"))) {
      const next = this.list[Math.max(0, Math.min(this.list.length - 1, at + step))];
      if (next) {
        event.preventDefault();
        this.app.with({ id: last(next.name) });
        document.querySelector(".list .entry[aria-current]")?.focus();
      }
    } else if ((event.key === "a" || event.key === "r") && this.#open) {
      event.preventDefault();
      this.#decide(event.key === "a");
    }
  };

  get approval() {
    return this.one.value?.approval ?? this.app.pending.waiting.get(this.chosen) ?? null;
  }

  /** Whether the chosen one can be decided: all of it is on the page, it is pending, and has not run out. */
  get #open() {
    const { approval } = this;
    return (
      approval &&
      word(approval.state, "APPROVAL_STATE") === "pending" &&
      time(approval.expire_time) > Date.now() &&
      this.arguments.value?.sha256 === approval.arguments_sha256
    );
  }

  async #decide(approve) {
    const { approval } = this;
    const id = requestId();
    const answer = await this.app.ask({
      title: approve ? "Approve this call?" : "Reject this call?",
      action: approve ? "Approve" : "Reject",
      danger: !approve,
      body: [
        h("p", {}, agentName(approval), " wants to run ", h("code", {}, plain(last(approval.resource))), "."),
        h("p", {}, "SHA-256 of the arguments ", h("code", {}, approval.arguments_sha256.slice(0, 16), "\u2026")),
        approve
          ? h("p", {}, "It runs once, with exactly these arguments.")
          : h("p", {}, "The agent is told, with what you write here."),
      ],
      fields: [
        { name: "comment", label: "Comment", maxlength: 1024, note: approve ? null : "Say why: the agent reads it." },
      ],
    });
    if (!answer) return;
    const decision = `APPROVAL_DECISION_${approve ? "APPROVE" : "REJECT"}`;
    const told = await this.app.act(
      approve ? "Approve" : "Reject",
      () =>
        this.app.api.call("access/DecideApproval", {
          name: approval.name,
          decision,
          comment: answer.comment,
          arguments_sha256: approval.arguments_sha256,
          request_id: id,
        }),
      (given) =>
        word(given.approval?.state, "APPROVAL_STATE") === "pending"
          ? "Your vote counts; more people have to approve."
          : approve
            ? "Approved."
            : "Rejected.",
    );
    if (told) this.one.value = told;
    this.app.changed();
  }

  view() {
    const decided = this.query.show === "decided";
    const error = decided ? this.decided.error : this.app.pending.error;
    return [
      h(
        "div",
        { class: "title", key: "title" },
        h("h1", {}, "Approvals"),
        choices("Which", SHOWN, this.query.show ?? "", (show) => this.app.with({ show, id: "" })),
      ),
      problem(error),
      h(
        "div",
        { class: "columns side", key: "columns" },
        panel(
          decided ? "Decided" : "Pending",
          {
            flush: true,
            note: decided ? null : "soonest to expire first",
            asOf: decided ? this.decided.asOf : this.app.pending.heard ? this.app.feed.asOf : null,
          },
          this.#entries(decided),
        ),
        this.chosen
          ? this.#detail()
          : panel(
              "Nothing is selected",
              {},
              h(
                "p",
                { class: "quiet" },
                "Select a call to see its arguments. j and k move, a approves, r rejects; both ask first.",
              ),
            ),
      ),
    ];
  }

  #entries(decided) {
    if (decided && !this.decided.value) return waitingFor("Asking\u2026");
    if (!this.list.length)
      return empty(
        decided ? "Nothing was decided yet" : "Nothing waits for you",
        decided ? null : "A call that needs a person's say shows here at once.",
      );
    return h(
      "ul",
      { class: "list" },
      this.list.map((each) =>
        h(
          "li",
          { key: each.name },
          h(
            "a",
            {
              class: "entry",
              href: address("approvals", { ...this.query, id: last(each.name) }),
              "aria-current": each.name === this.chosen ? "true" : undefined,
            },
            h(
              "span",
              { class: "row" },
              h("strong", {}, line(last(each.resource) || each.action)),
              h("span", { class: "space" }),
              decided ? badge(word(each.state, "APPROVAL_STATE")) : h("span", { class: "note" }, left(each)),
            ),
            h("span", { class: "quiet" }, line(each.summary || each.action)),
            h("span", { class: "note" }, line(last(each.agent))),
          ),
        ),
      ),
    );
  }

  #detail() {
    const { approval } = this;
    if (!approval)
      return panel("Approval", {}, problem(this.one.error, () => this.one.load()) ?? waitingFor("Asking\u2026"));
    const state = word(approval.state, "APPROVAL_STATE");
    const { value, error } = this.arguments;
    const mismatch = value && value.sha256 !== approval.arguments_sha256;
    const ran = time(approval.expire_time) <= Date.now();
    return panel(
      plain(last(approval.resource) || approval.action),
      { key: `one-${approval.name}`, asOf: this.one.asOf },
      h(
        "div",
        { class: "stack" },
        approval.summary ? h("p", {}, line(approval.summary)) : null,
        facts([
          ["State", badge(state === "pending" && ran ? "expired" : state)],
          ["Agent", agentLink(approval.agent, undefined, { tab: "tools" })],
          ["Action", h("code", {}, plain(approval.action))],
          ["Resource", h("code", {}, plain(approval.resource))],
          ["Asked", moment(time(approval.create_time))],
          [
            state === "pending" ? "Expires" : "Decided",
            state === "pending"
              ? `${left(approval)}, at ${clock(time(approval.expire_time))}`
              : moment(time(approval.decide_time)),
          ],
          ["Decided by", approval.decider ? line(approval.decider) : null],
          ["Comment", approval.comment ? line(approval.comment) : null],
          [
            "People needed",
            count(approval.required_deciders) > 1
              ? `${count(approval.required_deciders)}, ${(approval.votes ?? []).length} voted`
              : null,
          ],
        ]),
        (approval.votes ?? []).length
          ? h(
              "ul",
              {},
              approval.votes.map((vote) =>
                h(
                  "li",
                  { key: vote.decider },
                  line(vote.decider),
                  vote.approved ? " approved" : " rejected",
                  vote.comment ? [": ", line(vote.comment)] : null,
                ),
              ),
            )
          : null,
        approval.untrusted
          ? warning("What is below was written by somebody whom nobody vouches for. Read it as data.")
          : null,
        h(
          "div",
          { key: "args" },
          h("h3", {}, "Arguments", value ? `, all ${size(value.bytes)} of them` : ""),
          error?.status === 404 ? kept(approval) : problem(error, () => this.arguments.load()),
          mismatch ? warning("These are not the arguments of this approval: load the page again.") : null,
          value && !value.whole
            ? warning(
                "The arguments are longer than this page shows; fetch them with ",
                h("code", {}, "aios approvals show"),
                ".",
              )
            : null,
          value ? block(value.shown) : error ? null : waitingFor("Fetching the arguments\u2026"),
          h("p", { class: "note" }, "SHA-256 ", h("code", {}, plain(approval.arguments_sha256))),
        ),
        state === "pending"
          ? h(
              "div",
              { class: "buttons" },
              button("Approve", () => this.#decide(true), {
                kind: "primary",
                disabled: !this.#open || !value?.whole,
                title: "a",
              }),
              button("Reject", () => this.#decide(false), { kind: "warn", disabled: !this.#open, title: "r" }),
              ran ? h("span", { class: "quiet" }, "It has run out.") : null,
            )
          : null,
      ),
    );
  }
}

const left = (approval) => {
  const rest = (time(approval.expire_time) - Date.now()) / 1000;
  return rest > 0 ? `${span(rest)} left` : "has run out";
};
const agentName = (approval) => h("strong", {}, line(last(approval.agent)));

/** What is left to see of arguments that are no longer kept. */
const kept = (approval) => [
  h("p", { class: "quiet" }, "They were kept until it was decided and used; this is how they began."),
  block(approval.arguments_preview ?? ""),
];
