// The tree of agents, folded from WatchAgents.

import { count, last, time, word } from "./decode.js";
import { plain } from "./marks.js";

/** Return an agent of the wire as the pages use it. */
export function decoded(agent) {
  const hints = agent.hints ?? {};
  return {
    name: agent.name ?? "",
    id: last(agent.name),
    parent: agent.parent ?? "",
    label: agent.display_name ?? "",
    kind: agent.kind ?? "",
    state: word(agent.state, "AGENT_STATE") || "active",
    class: word(hints.scheduling_class, "SCHEDULING_CLASS") || "normal",
    weight: count(hints.weight) || 1,
    priority: count(hints.priority),
    hints,
    caps: agent.caps ?? null,
    etag: agent.etag ?? "",
    created: time(agent.create_time),
    updated: time(agent.update_time),
    expires: time(agent.expire_time),
    labels: agent.labels ?? {},
    untrusted: time(agent.untrusted_since),
    untrustedSource: agent.untrusted_source ?? "",
    purging: Boolean(agent.purging),
    untrustedTexts: Boolean(agent.untrusted_texts),
    tenant: agent.tenant ?? "",
  };
}

export class Agents {
  constructor() {
    this.byName = new Map();
    this.children = new Map();
    this.folded = new Set();
    this.told = new Set();
    this.version = 0;
    this.#flat = null;
  }

  #flat;
  #asked = "";

  /** Take one message of WatchAgents. */
  apply({ agent }) {
    if (!agent?.name) return;
    const now = decoded(agent);
    const before = this.byName.get(now.name);
    this.byName.set(now.name, now);
    this.told.add(now.name);
    if (!before) {
      const siblings = this.children.get(now.parent) ?? [];
      siblings.push(now.name);
      this.children.set(now.parent, siblings);
    }
    this.version += 1;
  }

  /** Forget an agent that was purged. */
  forget(name) {
    const agent = this.byName.get(name);
    if (!agent) return;
    this.byName.delete(name);
    const siblings = this.children.get(agent.parent) ?? [];
    this.children.set(
      agent.parent,
      siblings.filter((each) => each !== name),
    );
    this.version += 1;
  }

  /** All agents will be told again: from here on it is known which were. */
  restart() {
    this.told.clear();
  }

  /** Forget the agents that were not told again: they were purged meanwhile. */
  settle() {
    for (const name of [...this.byName.keys()]) if (!this.told.has(name)) this.forget(name);
  }

  /** How many agents a kill of this one ends: it and all below that still live. */
  living(name) {
    const agent = this.byName.get(name);
    let total = agent && agent.state !== "killed" ? 1 : 0;
    for (const child of this.children.get(name) ?? []) total += this.living(child);
    return total;
  }

  toggle(name, folded = !this.folded.has(name)) {
    if (folded) this.folded.add(name);
    else this.folded.delete(name);
    this.version += 1;
  }

  /** The rows of the tree, `{agent, level, expanded}`, in order: parents before children, older before newer. */
  rows({ search = "", state = "" } = {}) {
    const asked = `${this.version}|${search}|${state}`;
    if (this.#flat && this.#asked === asked) return this.#flat;
    const words = search.trim().toLowerCase();
    const wanted = (agent) =>
      (!state || agent.state === state) &&
      (!words || `${agent.id} ${plain(agent.label)} ${agent.label} ${agent.kind}`.toLowerCase().includes(words));
    const shown = words || state ? this.#above(wanted) : null;
    const rows = [];
    const roots = [...this.byName.values()].filter((agent) => !agent.parent || !this.byName.has(agent.parent));
    const stack = roots
      .sort(older)
      .reverse()
      .map((agent) => [agent, 0]);
    while (stack.length) {
      const [agent, level] = stack.pop();
      if (shown && !shown.has(agent.name)) continue;
      const children = (this.children.get(agent.name) ?? [])
        .map((name) => this.byName.get(name))
        .filter((child) => child && (!shown || shown.has(child.name)));
      const expanded = children.length ? !this.folded.has(agent.name) : null;
      rows.push({ agent, level, expanded, match: !shown || wanted(agent) });
      if (expanded) for (const child of children.sort(older).reverse()) stack.push([child, level + 1]);
    }
    this.#flat = rows;
    this.#asked = asked;
    return rows;
  }

  /** The wanted agents and all above them. */
  #above(wanted) {
    const found = new Set();
    for (const agent of this.byName.values()) {
      if (!wanted(agent)) continue;
      for (let each = agent; each && !found.has(each.name); each = this.byName.get(each.parent)) found.add(each.name);
    }
    return found;
  }
}

const older = (a, b) => (a.created ?? 0) - (b.created ?? 0) || (a.name < b.name ? -1 : 1);
