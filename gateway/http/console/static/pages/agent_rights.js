// What an agent may, and by what: its groups, its grants, and a question that can be tried.

import { last } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { Loaded } from "../lib/loaded.js";
import { address } from "../lib/router.js";
import { line } from "../lib/text.js";
import { facts, panel, problem, waitingFor } from "../lib/widgets.js";
import { grantTable } from "./policies_grants.js";
import { Try } from "./policies_try.js";

export class RightsTab {
  constructor(app, page) {
    Object.assign(this, { app, page });
    const changed = () => app.changed();
    this.grants = new Loaded(
      (signal) => app.api.all("access/ListGrants", { grantee: page.name }, "grants", { size: 200, signal }),
      changed,
    );
    this.groups = new Loaded(
      (signal) => app.api.all("access/ListGroups", { member: page.name }, "groups", { size: 200, signal }),
      changed,
    );
    this.question = new Try(app, page.name);
  }

  enter(_query, first) {
    if (first) for (const each of [this.grants, this.groups]) each.load();
  }

  leave() {
    for (const each of [this.grants, this.groups]) each.stop();
  }

  view() {
    const { caps } = this.page.agent;
    return [
      this.question.view(),
      panel(
        "Grants to it",
        { asOf: this.grants.asOf, flush: true },
        problem(this.grants.error, () => this.grants.load()),
        this.grants.value
          ? grantTable(this.app, this.grants.value.items, () => this.grants.load())
          : this.grants.error
            ? null
            : waitingFor("Asking\u2026"),
      ),
      h(
        "div",
        { class: "columns half", key: "half" },
        panel(
          "Groups",
          { asOf: this.groups.asOf },
          problem(this.groups.error),
          this.groups.value?.items.length
            ? h(
                "ul",
                {},
                this.groups.value.items.map((each) =>
                  h(
                    "li",
                    { key: each.name },
                    h(
                      "a",
                      { href: address("policies", { tab: "groups", group: last(each.name) }) },
                      line(each.title || each.name),
                    ),
                  ),
                ),
              )
            : h("p", { class: "quiet" }, this.groups.value ? "It is in no group." : ""),
        ),
        panel(
          "Caps on its scheduling",
          {},
          caps
            ? facts(
                Object.entries(caps).map(([name, value]) => [
                  name.replaceAll("_", " "),
                  line(
                    typeof value === "object"
                      ? JSON.stringify(value)
                      : String(value).replace("SCHEDULING_CLASS_", "").toLowerCase(),
                  ),
                ]),
              )
            : h("p", { class: "quiet" }, "None of its own."),
        ),
      ),
      h(
        "p",
        { class: "quiet", key: "note" },
        "What policies permit everybody is on the page ",
        h("a", { href: address("policies") }, "Policies"),
        ".",
      ),
    ];
  }
}
