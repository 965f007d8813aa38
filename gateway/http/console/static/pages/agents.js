// All agents as a tree, live; what each does, and what can be done to it.

import { Agents } from "../lib/agents.js";
import { h } from "../lib/dom.js";
import { counted, moment, number, span } from "../lib/format.js";
import { address } from "../lib/router.js";
import { Rows } from "../lib/rows.js";
import { Loaded } from "../lib/loaded.js";
import { ask as askUsage, tokens, words } from "../lib/usage.js";
import { Schedule } from "../lib/schedule.js";
import { line, plain } from "../lib/text.js";
import { agentLink, badge, button, choices, empty, facts, panel, problem } from "../lib/widgets.js";
import { clearUntrusted, kill, nice, resume, suspend } from "./actions.js";

const USAGE_SECONDS = 15;
const PICK_MS = 150;
const SETTLED_MS = 5000;
const STATES = [
  ["", "All"],
  ["active", "Active"],
  ["suspended", "Suspended"],
  ["killed", "Killed"],
];

export class AgentsPage {
  title = "Agents";

  constructor(app, query) {
    this.app = app;
    this.agents = new Agents();
    this.schedule = new Schedule();
    this.rows = new Rows({
      label: "Agents",
      id: (row) => row.agent.name,
      changed: () => app.changed(),
      level: (row) => row.level,
      expanded: (row) => row.expanded,
      columns: this.#columns(),
      pick: (row) => this.#pick(row.agent.id),
      open: (row) => app.go(address("agent", { id: row.agent.id })),
      keys: { ArrowLeft: (row) => this.#fold(row, true), ArrowRight: (row) => this.#fold(row, false) },
    });
    this.usage = new Loaded(
      (signal) => askUsage(app.api, "", signal),
      () => app.changed(),
      { every: USAGE_SECONDS },
    );
    if (query.id) this.rows.current = `agents/${query.id}`;
  }

  enter(query, first) {
    this.query = query;
    if (first) this.usage.load();
  }

  leave() {
    clearTimeout(this.settling);
    clearTimeout(this.picked);
    this.usage.stop();
  }

  visible(shown) {
    if (shown) this.usage.load();
    else this.usage.stop();
  }

  topics() {
    return {
      agents: {
        method: "agent/WatchAgents",
        request: {},
        take: this.#agent,
        restart: this.#restart,
        failed: this.#failed,
      },
      schedule: { method: "scheduler/WatchSchedule", request: { initial: true }, take: this.#event },
    };
  }

  #restart = () => {
    this.agents.restart();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      this.agents.settle();
      this.app.changed();
    }, SETTLED_MS);
  };

  #agent = (message) => {
    this.agents.apply(message);
    this.error = null;
    this.heard = Date.now();
  };

  #failed = (refusal) => {
    this.error = refusal;
  };

  #event = (message) => {
    this.schedule.apply(message);
  };

  /** The address follows the selection, but not each step of a held key. */
  #pick(id) {
    clearTimeout(this.picked);
    this.picked = setTimeout(() => this.app.page === this && this.app.with({ id }), PICK_MS);
  }

  #fold(row, folded) {
    if (row.expanded !== null && row.expanded === folded) this.agents.toggle(row.agent.name, folded);
    else if (folded && this.agents.byName.has(row.agent.parent)) {
      this.rows.current = row.agent.parent;
      this.#pick(row.agent.parent.split("/").at(-1));
    }
    this.app.changed();
  }

  #columns() {
    return [
      { name: "agent", label: "Agent", width: "minmax(220px, 4fr)", cell: (row) => this.#name(row) },
      { name: "kind", label: "Kind", width: "minmax(80px, 1fr)", cell: ({ agent }) => line(agent.kind || "\u2013") },
      { name: "state", label: "State", width: "108px", cell: ({ agent }) => badge(agent.state) },
      { name: "class", label: "Class, weight", width: "116px", cell: ({ agent }) => `${agent.class}, ${agent.weight}` },
      { name: "running", label: "Running", width: "72px", align: "end", cell: ({ agent }) => this.#doing(agent, true) },
      {
        name: "waiting",
        label: "Waiting",
        width: "72px",
        align: "end",
        cell: ({ agent }) => this.#doing(agent, false),
      },
      {
        name: "tokens",
        label: h("span", { title: "Of the agent itself, prompts included, in the last day" }, "Tokens, 1 d"),
        width: "92px",
        align: "end",
        cell: ({ agent }) => this.#used(agent),
      },
      {
        name: "age",
        label: "Age",
        width: "96px",
        align: "end",
        cell: ({ agent }) => span(agent.created === null ? null : (Date.now() - agent.created) / 1000),
      },
    ];
  }

  #name({ agent, level, expanded, match }) {
    return h(
      "span",
      { class: match ? "tree" : "tree dim", style: { "padding-left": `${level * 18}px` } },
      expanded === null
        ? h("span", { class: "leaf" })
        : h(
            "button",
            {
              type: "button",
              tabindex: "-1",
              "aria-label": expanded ? "Fold" : "Unfold",
              onclick: () => {
                this.agents.toggle(agent.name);
                this.app.changed();
              },
            },
            expanded ? "\u25be" : "\u25b8",
          ),
      h(
        "a",
        { href: address("agent", { id: agent.id }), tabindex: "-1", title: plain(agent.label || agent.id) },
        line(agent.label || agent.id),
      ),
      agent.label && agent.label !== agent.id ? h("span", { class: "id" }, agent.id) : null,
      agent.untrusted ? h("span", { class: "chip hot", title: "It read what nobody vouches for" }, "untrusted") : null,
    );
  }

  #doing(agent, running) {
    const total = this.doing?.get(agent.id)?.[running ? 0 : 1] ?? 0;
    return total ? number(total) : h("span", { class: "quiet" }, "\u2013");
  }

  #used(agent) {
    const sums = this.usage.value?.sums.get(agent.name);
    return sums
      ? h("span", { title: `${number(tokens(sums.tree))} with all below it` }, number(tokens(sums.own)))
      : h("span", { class: "quiet" }, "\u2013");
  }

  #tally() {
    if (this.tallied === this.schedule.version) return;
    this.tallied = this.schedule.version;
    this.doing = new Map();
    for (const call of this.schedule.calls.values()) {
      const both = this.doing.get(call.agent) ?? [0, 0];
      both[call.state === "waiting" ? 1 : 0] += 1;
      this.doing.set(call.agent, both);
    }
  }

  view() {
    this.#tally();
    const { search = "", state = "" } = this.query;
    const rows = this.agents.rows({ search, state });
    const chosen = this.agents.byName.get(this.rows.current) ?? null;
    const total = this.agents.byName.size;
    return [
      h(
        "div",
        { class: "title", key: "title" },
        h("h1", {}, "Agents"),
        choices("State", STATES, state, (to) => this.app.with({ state: to })),
        h("span", { class: "space" }),
        h("input", {
          type: "search",
          class: "search",
          "aria-label": "Search agents",
          placeholder: "Search by name, id or kind",
          value: search,
          style: { width: "280px" },
          oninput: (event) => this.app.with({ search: event.target.value }),
        }),
      ),
      problem(this.error),
      h(
        "div",
        { class: "columns list-detail", key: "columns" },
        panel(
          "Tree",
          {
            asOf: this.heard ? this.app.feed.asOf : null,
            note:
              search || state
                ? `${number(rows.filter((row) => row.match).length)} of ${counted(total, "agent")}`
                : counted(total, "agent"),
            flush: true,
          },
          this.rows.view(rows, {
            busy: !this.heard,
            empty: !this.heard
              ? h("p", { class: "quiet" }, "Asking\u2026")
              : total
                ? empty(
                    "No agent matches",
                    "Search and state together leave none.",
                    button("Show all", () => this.app.with({ search: "", state: "" })),
                  )
                : empty(
                    "No agents yet",
                    "An agent shows here as soon as it is registered, such as by ",
                    h("code", {}, "aios agents register"),
                  ),
          }),
        ),
        chosen
          ? this.#detail(chosen)
          : panel(
              "No agent is selected",
              {},
              h("p", { class: "quiet" }, "Select one with the arrow keys or a click; Enter opens its page."),
            ),
      ),
    ];
  }

  #detail(agent) {
    const living = this.agents.living(agent.name);
    const [running, waiting] = this.doing.get(agent.id) ?? [0, 0];
    return panel(
      plain(agent.label || agent.id),
      { key: "detail", asOf: this.heard ? this.app.feed.asOf : null, class: "detail" },
      h(
        "div",
        { class: "stack" },
        agentActions(this.app, agent, living, true),
        facts([
          ["State", badge(agent.state)],
          ["Id", h("code", {}, agent.id)],
          ["Kind", agent.kind ? line(agent.kind) : null],
          ["Parent", agent.parent ? agentLink(agent.parent) : "none"],
          ["Class", agent.class],
          ["Weight", number(agent.weight)],
          ["Priority", String(agent.priority)],
          ["Running", number(running)],
          ["Waiting", number(waiting)],
          ...words(this.usage.value?.sums.get(agent.name)?.tree, this.usage.value?.since),
          ["Living below", number(Math.max(0, living - (agent.state === "killed" ? 0 : 1)))],
          ["Registered", moment(agent.created)],
          ["Ends", agent.expires ? moment(agent.expires) : null],
          [
            "Untrusted",
            agent.untrusted ? ["since ", moment(agent.untrusted), ": ", line(agent.untrustedSource)] : null,
          ],
          ...Object.entries(agent.labels).map(([name, value]) => [plain(name), line(value)]),
        ]),
      ),
    );
  }
}

/** The buttons of an agent; those that make no sense in its state are not there. */
export function agentActions(app, agent, living, open = false) {
  const killed = agent.state === "killed";
  return h(
    "div",
    { class: "buttons", key: "actions" },
    open
      ? h("a", { class: "button-link", href: address("agent", { id: agent.id }), key: "open" }, "Open its page")
      : null,
    killed ? h("span", { class: "quiet" }, "It was killed; what it left can be read.") : null,
    !killed && agent.state === "active" ? button("Suspend", () => suspend(app, agent)) : null,
    agent.state === "suspended" ? button("Resume", () => resume(app, agent), { kind: "primary" }) : null,
    !killed ? button("Change class\u2026", () => nice(app, agent)) : null,
    agent.untrusted && !killed ? button("Clear mark", () => clearUntrusted(app, agent)) : null,
    !killed
      ? button(living > 1 ? `Kill ${number(living)}\u2026` : "Kill\u2026", () => kill(app, agent, living), {
          kind: "warn",
        })
      : null,
  );
}
