// One agent: what it does, said, knows, keeps, calls and may.

import { decoded } from "../lib/agents.js";
import { h } from "../lib/dom.js";
import { moment } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { address } from "../lib/router.js";
import { line, plain } from "../lib/text.js";
import { ask, words } from "../lib/usage.js";
import { agentLink, badge, empty, facts, problem, tabs, waitingFor } from "../lib/widgets.js";
import { CallsTab } from "./agent_calls.js";
import { FilesTab } from "./agent_files.js";
import { LiveTab } from "./agent_live.js";
import { NotesTab } from "./agent_notes.js";
import { RightsTab } from "./agent_rights.js";
import { TalkTab } from "./agent_talk.js";
import { ToolCallsTab } from "./agent_tools.js";
import { agentActions } from "./agents.js";

const USAGE_SECONDS = 10;
const SETTLED_MS = 3000;
const TABS = {
  calls: ["Calls", CallsTab],
  talk: ["Conversations", TalkTab],
  notes: ["Notes", NotesTab],
  files: ["Files", FilesTab],
  tools: ["Tool calls", ToolCallsTab],
  live: ["Live", LiveTab],
  rights: ["Rights", RightsTab],
};

export class AgentPage {
  constructor(app, query) {
    this.app = app;
    this.id = query.id ?? "";
    this.name = `agents/${this.id}`;
    this.agent = null;
    this.below = 0;
    this.tabName = "";
    this.found = new Loaded(
      (signal) => app.api.call("agent/GetAgent", { name: this.name }, { signal }),
      () => this.#found(),
    );
    this.children = new Map();
    this.usage = new Loaded(
      (signal) => ask(app.api, this.name, signal),
      () => app.changed(),
      { every: USAGE_SECONDS },
    );
  }

  get title() {
    return this.agent?.label || this.id || "Agent";
  }

  key(query) {
    return query.id ?? "";
  }

  enter(query, first) {
    this.query = query;
    if (first && this.id) {
      this.found.load();
      this.usage.load();
    }
    const name = query.tab in TABS ? query.tab : "calls";
    if (name !== this.tabName) {
      this.tab?.leave?.();
      this.tabName = name;
      this.tab = new TABS[name][1](this.app, this);
      this.tab.enter(query, true);
    } else this.tab.enter(query, false);
  }

  leave() {
    clearTimeout(this.settling);
    this.found.stop();
    this.usage.stop();
    this.tab?.leave?.();
  }

  visible(shown) {
    if (shown) this.usage.load();
    else this.usage.stop();
    this.tab?.visible?.(shown);
  }

  topics() {
    if (!this.id) return {};
    return {
      agent: { method: "agent/WatchAgents", request: { parent: this.name }, take: this.#take, restart: this.#restart },
      ...this.tab.topics?.(),
    };
  }

  #found() {
    if (this.found.value?.agent && this.found.asOf !== this.seen) {
      this.seen = this.found.asOf;
      this.#take({ agent: this.found.value.agent });
    }
    this.app.changed();
  }

  #restart = () => {
    const before = new Set(this.children.keys());
    clearTimeout(this.settling);
    this.before = before;
    this.settling = setTimeout(() => {
      for (const name of before) this.children.delete(name);
      this.app.changed();
    }, SETTLED_MS);
  };

  #take = ({ agent }) => {
    const now = decoded(agent ?? {});
    this.before?.delete(now.name);
    if (now.name === this.name) Object.assign(this, { agent: now, heard: Date.now() });
    else if (now.state !== "killed") this.children.set(now.name, now);
    else this.children.delete(now.name);
  };

  view() {
    if (!this.id) return empty("No agent is named", "Choose one on the page Agents.");
    const { agent } = this;
    if (!agent)
      return [
        h("div", { class: "title", key: "title" }, h("h1", {}, this.id)),
        problem(this.found.error, () => this.found.load()) ?? waitingFor("Asking\u2026"),
      ];
    return [
      h(
        "div",
        { class: "title", key: "title" },
        h("h1", {}, line(agent.label || agent.id)),
        badge(agent.state),
        agent.untrusted ? h("span", { class: "chip hot", title: plain(agent.untrustedSource) }, "untrusted") : null,
        h("span", { class: "space" }),
        agentActions(this.app, agent, this.children.size + (agent.state === "killed" ? 0 : 1)),
      ),
      h(
        "div",
        { class: "panel", key: "facts" },
        h(
          "div",
          { class: "body", style: { padding: "14px 16px" } },
          facts([
            ["Id", h("code", {}, agent.id)],
            ["Kind", agent.kind ? line(agent.kind) : null],
            ["Parent", agent.parent ? agentLink(agent.parent) : "none"],
            ["Class, weight, priority", `${agent.class}, ${agent.weight}, ${agent.priority}`],
            ["Living below it", String(this.children.size)],
            ["Registered", moment(agent.created)],
            ["Ends", agent.expires ? moment(agent.expires) : null],
            ["Untrusted since", agent.untrusted ? moment(agent.untrusted) : null],
            ...words(this.usage.value?.sums.get(this.name)?.tree, this.usage.value?.since),
          ]),
        ),
      ),
      tabs(
        "Of this agent",
        Object.entries(TABS).map(([name, [words]]) => [name, words]),
        this.tabName,
        (tab) => address("agent", { id: this.id, tab: tab === "calls" ? "" : tab }),
      ),
      h("div", { key: `tab-${this.tabName}` }, this.tab.view()),
    ];
  }
}
