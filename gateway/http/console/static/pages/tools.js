// What agents can call, and what answers them: tools, MCP servers, models.

import { count, last, seconds, time, word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { moment, number, span } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { address } from "../lib/router.js";
import { block, line, plain } from "../lib/text.js";
import { tokens } from "./now.js";
import { agentLink, badge, empty, facts, panel, problem, table, tabs, waitingFor, warning } from "../lib/widgets.js";

const TABS = [
  ["tools", "Tools"],
  ["servers", "MCP servers"],
  ["models", "Models and replicas"],
];
const DRIVERS = ["builtin", "python", "http", "mcp", "provider"];
const EVERY_SECONDS = 5;

export class ToolsPage {
  title = "Tools and models";

  constructor(app) {
    this.app = app;
    const changed = () => app.changed();
    const every = { every: EVERY_SECONDS };
    this.tools = new Loaded(
      (signal) => app.api.all("tool/ListTools", { view: "TOOL_VIEW_FULL" }, "tools", { size: 200, signal }),
      changed,
      every,
    );
    this.servers = new Loaded(
      (signal) => app.api.all("tool/ListMcpServers", {}, "servers", { size: 200, signal }),
      changed,
      every,
    );
    this.models = new Loaded(
      (signal) => app.api.all("inference/ListModels", {}, "models", { size: 100, signal }),
      changed,
      every,
    );
    this.queue = new Loaded((signal) => app.api.call("scheduler/GetQueue", {}, { signal }), changed, every);
  }

  get tab() {
    return TABS.some(([name]) => name === this.query.tab) ? this.query.tab : "tools";
  }

  get #shown() {
    return { tools: [this.tools], servers: [this.servers], models: [this.models, this.queue] }[this.tab];
  }

  enter(query) {
    const before = this.query ? this.tab : "";
    this.query = query;
    if (this.tab === before) return;
    this.leave();
    for (const each of this.#shown) each.load();
  }

  leave() {
    for (const each of [this.tools, this.servers, this.models, this.queue]) each.stop();
  }

  visible(shown) {
    if (!shown) return this.leave();
    return this.#shown.forEach((each) => each.load());
  }

  view() {
    return [
      h("div", { class: "title", key: "title" }, h("h1", {}, "Tools and models")),
      tabs("Tools and models", TABS, this.tab, (tab) => address("tools", { tab: tab === "tools" ? "" : tab })),
      h(
        "div",
        { key: this.tab },
        this.tab === "tools" ? this.#tools() : this.tab === "servers" ? this.#servers() : this.#models(),
      ),
    ];
  }

  #tools() {
    const { value, error, asOf } = this.tools;
    const search = (this.query.search ?? "").toLowerCase();
    const shown = (value?.items ?? []).filter(
      (tool) => !search || `${tool.name} ${tool.title ?? ""} ${tool.description ?? ""}`.toLowerCase().includes(search),
    );
    const chosen = shown.find((tool) => last(tool.name) === this.query.tool);
    return [
      problem(error, () => this.tools.load()),
      h(
        "div",
        { class: "columns list-detail" },
        panel(
          "Tools",
          {
            asOf,
            flush: true,
            note: value
              ? `${number(shown.length)} of ${number(value.items.length)}${value.more ? " and more" : ""}`
              : null,
            actions: [
              h("input", {
                type: "search",
                key: "search",
                "aria-label": "Search tools",
                placeholder: "Search",
                value: this.query.search ?? "",
                style: { width: "180px" },
                oninput: (event) => this.app.with({ search: event.target.value }),
              }),
            ],
          },
          !value
            ? error
              ? null
              : waitingFor("Asking\u2026")
            : table(
                "Tools",
                [
                  {
                    name: "Tool",
                    cell: (tool) =>
                      h(
                        "a",
                        { href: address("tools", { ...this.query, tool: last(tool.name) }) },
                        line(last(tool.name)),
                      ),
                  },
                  {
                    name: "State",
                    cell: (tool) => badge(tool.available ? "ready" : "down", plain(tool.unavailable_reason ?? "")),
                  },
                  { name: "Driver", cell: (tool) => driver(tool) },
                  { name: "Effect", cell: (tool) => word(tool.effect, "TOOL_EFFECT") },
                  {
                    name: "Owner",
                    cell: (tool) =>
                      tool.owner?.startsWith("agents/")
                        ? agentLink(tool.owner)
                        : line(last(tool.owner ?? "") || "\u2013"),
                  },
                  {
                    name: "Says",
                    wrap: true,
                    cell: (tool) => line((tool.description ?? "").split("\n")[0].slice(0, 120)),
                  },
                ],
                shown,
                {
                  id: (tool) => tool.name,
                  current: chosen?.name ?? null,
                  pick: (tool) => this.app.with({ tool: last(tool.name) }),
                  none: value.items.length
                    ? empty("No tool matches")
                    : empty("No tools yet", "Programs offer them, administrators add them, agents write them."),
                },
              ),
        ),
        chosen
          ? this.#tool(chosen)
          : panel("No tool is selected", {}, h("p", { class: "quiet" }, "Select one to see what it takes and gives.")),
      ),
    ];
  }

  #tool(tool) {
    return panel(
      plain(tool.title || last(tool.name)),
      { key: tool.name },
      h(
        "div",
        { class: "stack" },
        !tool.available
          ? warning("It cannot be called now: ", line(tool.unavailable_reason || "nobody offers it"), ".")
          : null,
        tool.untrusted ? warning("Its description was written by somebody whom nobody vouches for.") : null,
        tool.description ? h("p", {}, line(tool.description)) : null,
        facts([
          ["Name", h("code", {}, plain(tool.name))],
          ["Driver", driver(tool)],
          [
            "Server",
            tool.mcp?.server
              ? h("a", { href: address("tools", { tab: "servers" }) }, line(last(tool.mcp.server)))
              : null,
          ],
          ["Address", tool.http?.url ? line(tool.http.url) : null],
          ["Effect", word(tool.effect, "TOOL_EFFECT")],
          ["Needs approval", tool.requires_approval ? "each call" : "no"],
          ["At once", tool.max_concurrency ? number(count(tool.max_concurrency)) : "no limit"],
          ["Runs at most", span(seconds(tool.timeout))],
          ["Locks", (tool.locks ?? []).length ? tool.locks.map((lock) => line(lock)) : null],
          ["Results are untrusted", tool.returns_untrusted ? "yes" : null],
          ["Changed", moment(time(tool.update_time))],
        ]),
        h(
          "div",
          { key: "takes" },
          h("h3", {}, "Takes"),
          block(pretty(tool.parameters_schema_json, tool.parameters_schema)),
        ),
        tool.result_schema_json || tool.result_schema
          ? h("div", { key: "gives" }, h("h3", {}, "Gives"), block(pretty(tool.result_schema_json, tool.result_schema)))
          : null,
        tool.python?.source ? h("div", { key: "source" }, h("h3", {}, "Source"), block(tool.python.source)) : null,
      ),
    );
  }

  #servers() {
    const { value, error, asOf } = this.servers;
    return [
      problem(error, () => this.servers.load()),
      panel(
        "MCP servers",
        { asOf, flush: true },
        !value
          ? error
            ? null
            : waitingFor("Asking\u2026")
          : table(
              "MCP servers",
              [
                { name: "Server", cell: (each) => line(last(each.name)) },
                { name: "State", cell: (each) => badge(word(each.state, "MCP_SERVER_STATE")) },
                {
                  name: "Problem",
                  wrap: true,
                  cell: (each) => (each.problem ? line(each.problem) : h("span", { class: "quiet" }, "none")),
                },
                {
                  name: "Reached by",
                  wrap: true,
                  cell: (each) => line(each.http?.url ?? (each.stdio?.command ?? []).join(" ")),
                },
                { name: "Tools", align: "end", cell: (each) => number((each.tools ?? []).length) },
                {
                  name: "Changed tools",
                  cell: (each) =>
                    (each.changed_tools ?? []).length
                      ? each.changed_tools.map((name) => line(`${last(name)} `))
                      : "\u2013",
                },
                { name: "Protocol", cell: (each) => line(each.protocol_version || "\u2013") },
              ],
              value.items,
              {
                id: (each) => each.name,
                none: empty("No MCP servers", "An administrator adds one with ", h("code", {}, "aios mcp add")),
              },
            ),
      ),
    ];
  }

  #models() {
    const { value, error, asOf } = this.models;
    const replicas = this.queue.value?.replicas ?? [];
    return [
      problem(error ?? this.queue.error, () => this.models.load()),
      panel(
        "Models",
        { asOf, flush: true },
        !value
          ? error
            ? null
            : waitingFor("Asking\u2026")
          : table(
              "Models",
              [
                {
                  name: "Model",
                  cell: (model) => [
                    line(model.name),
                    model.is_default ? h("span", { class: "chip" }, "default") : null,
                  ],
                },
                { name: "Window", align: "end", cell: (model) => `${number(count(model.max_total_tokens))} tokens` },
                { name: "Replicas", align: "end", cell: (model) => number(count(model.replica_count)) },
                { name: "Slots", align: "end", cell: (model) => number(count(model.slots)) },
                { name: "Preemption", cell: (model) => (model.kv_snapshot ? "keeps its state" : "goes on from text") },
                { name: "Constraints", cell: (model) => (model.constraints ? "yes" : "no") },
              ],
              value.items,
              {
                id: (model) => model.name,
                none: empty("No model answers", "Attach a server with ", h("code", {}, "aios up --openai URL")),
              },
            ),
      ),
      panel(
        "Replicas",
        { asOf: this.queue.asOf, flush: true },
        table(
          "Replicas",
          [
            { name: "Replica", cell: (each) => line(each.name) },
            { name: "Serves", cell: (each) => line(each.model || "\u2013") },
            { name: "Of", cell: (each) => (each.lane === "tool" ? "tools" : "inference") },
            { name: "State", cell: (each) => badge(each.up ? "up" : "down") },
            {
              name: "Slots",
              align: "end",
              cell: (each) => `${number(count(each.running_count))} / ${number(count(each.slots))}`,
            },
            { name: "Tokens in flight", align: "end", cell: (each) => tokens(each) },
            {
              name: "Calls",
              cell: (each) =>
                h("a", { href: address("now", { of: each.lane === "tool" ? "tool" : "" }) }, "see them run"),
            },
          ],
          replicas,
          { id: (each) => `${each.lane}${each.name}`, none: this.queue.value ? empty("None") : null },
        ),
      ),
    ];
  }
}

const driver = (tool) => DRIVERS.find((name) => name in tool) ?? "\u2013";

/** JSON as a person reads it; text that is none stays as it is. */
export function pretty(text, value) {
  try {
    return JSON.stringify(text ? JSON.parse(text) : (value ?? {}), null, 2);
  } catch {
    return text;
  }
}
