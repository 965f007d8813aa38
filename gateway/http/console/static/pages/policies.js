// Who may what and why: Cedar policies, groups, grants, approval rules, and a question that can be tried.

import { requestId } from "../lib/api.js";
import { count, last, time } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { moment, number } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { address } from "../lib/router.js";
import { block, line, plain } from "../lib/text.js";
import {
  agentLink,
  badge,
  button,
  empty,
  facts,
  field,
  panel,
  problem,
  table,
  tabs,
  waitingFor,
  warning,
} from "../lib/widgets.js";
import { give, grantTable } from "./policies_grants.js";
import { Try } from "./policies_try.js";

const TABS = [
  ["policies", "Policies"],
  ["try", "Try a question"],
  ["groups", "Groups"],
  ["grants", "Grants"],
  ["rules", "Approval rules"],
];
const TYPING_MS = 400;

export class PoliciesPage {
  title = "Policies and rights";

  constructor(app) {
    this.app = app;
    const changed = () => app.changed();
    const list = (method, field, body = () => ({})) =>
      new Loaded((signal) => app.api.all(method, body(), field, { size: 50, most: 1000, signal }), changed);
    this.policies = list("access/ListPolicies", "policies");
    this.versions = list("access/ListPolicyVersions", "policies", () => ({ name: `policies/${this.query.policy}` }));
    this.groups = list("access/ListGroups", "groups");
    this.members = list("access/ListMembers", "members", () => ({ group: `groups/${this.query.group}` }));
    this.grants = list("access/ListGrants", "grants", () => ({
      grantee: this.query.grantee ?? "",
      resource: this.query.resource ?? "",
    }));
    this.rules = list("access/ListApprovalRules", "rules");
    this.findings = new Loaded(
      (signal) => app.api.call("access/ValidatePolicy", { text: this.draft }, { signal }),
      changed,
    );
    this.question = new Try(app);
    this.draft = null;
  }

  get tab() {
    return TABS.some(([name]) => name === this.query.tab) ? this.query.tab : "policies";
  }

  enter(query) {
    const before = this.query ?? {};
    this.query = query;
    const moved = (name) => query[name] !== before[name];
    const first = before === undefined || moved("tab") || !this.policies.asOf;
    if (this.tab === "policies" && (first || !this.policies.value)) this.policies.load();
    if (query.policy && moved("policy")) this.#open();
    if (this.tab === "groups" && first) this.groups.load();
    if (query.group && moved("group")) this.members.load();
    if (this.tab === "grants" && (first || moved("grantee") || moved("resource"))) this.grants.load();
    if (this.tab === "rules" && first) this.rules.load();
  }

  leave() {
    clearTimeout(this.typing);
  }

  #open() {
    this.draft = null;
    this.findings.value = null;
    this.versions.value = null;
    this.versions.load();
  }

  view() {
    return [
      h("div", { class: "title", key: "title" }, h("h1", {}, "Policies and rights")),
      tabs("Policies and rights", TABS, this.tab, (tab) => address("policies", { tab: tab === "policies" ? "" : tab })),
      h(
        "div",
        { key: this.tab },
        {
          policies: () => this.#policies(),
          try: () => this.question.view(),
          groups: () => this.#groups(),
          grants: () => this.#grants(),
          rules: () => this.#rules(),
        }[this.tab](),
      ),
    ];
  }

  #policies() {
    const { value, error, asOf } = this.policies;
    const chosen = value?.items.find((each) => last(each.name) === this.query.policy);
    return [
      problem(error, () => this.policies.load()),
      h(
        "div",
        { class: "columns side" },
        panel(
          "Policies",
          { asOf, flush: true, actions: [button("New\u2026", () => this.#new(), { kind: "small" })] },
          !value
            ? error
              ? null
              : waitingFor("Asking\u2026")
            : value.items.length
              ? h(
                  "ul",
                  { class: "list" },
                  value.items.map((each) =>
                    h(
                      "li",
                      { key: each.name },
                      h(
                        "a",
                        {
                          class: "entry",
                          href: address("policies", { policy: last(each.name) }),
                          "aria-current": each === chosen ? "true" : undefined,
                        },
                        h(
                          "span",
                          { class: "row" },
                          h("strong", {}, line(last(each.name))),
                          h("span", { class: "space" }),
                          h("span", { class: "note" }, each.builtin ? "built in" : `version ${count(each.version)}`),
                        ),
                        h("span", { class: "quiet" }, line(each.description || "")),
                      ),
                    ),
                  ),
                )
              : empty("No policies", "Deny is the default: what no policy permits is refused."),
        ),
        chosen
          ? this.#policy(chosen)
          : panel(
              "No policy is selected",
              {},
              h(
                "p",
                { class: "quiet" },
                "Select one to read it, with its versions. Deny is the default, and a forbid outweighs every permit.",
              ),
            ),
      ),
    ];
  }

  #policy(policy) {
    const editing = this.draft !== null;
    const found = this.findings.value?.findings ?? [];
    return panel(
      plain(last(policy.name)),
      {
        key: policy.name,
        actions: policy.builtin
          ? [h("span", { class: "chip", key: "builtin" }, "built in: it cannot be changed")]
          : editing
            ? [
                button("Discard", () => this.#edit(null), { kind: "small" }),
                button("Save", () => this.#save(policy), {
                  kind: "small primary",
                  disabled: this.draft === policy.text || this.findings.value?.valid === false,
                }),
              ]
            : [button("Edit", () => this.#edit(policy.text), { kind: "small" })],
      },
      h(
        "div",
        { class: "stack" },
        facts([
          ["Version", number(count(policy.version))],
          ["By", line(policy.author || "the kernel")],
          ["Since", moment(time(policy.create_time))],
          ["State", badge(policy.active ? "active" : "suspended")],
        ]),
        editing
          ? h(
              "div",
              { class: "field", key: "edit" },
              h("label", { for: "policy-text" }, "Cedar"),
              h("textarea", {
                id: "policy-text",
                rows: 18,
                value: this.draft,
                spellcheck: "false",
                oninput: (event) => this.#typed(event.target.value),
              }),
            )
          : block(policy.text),
        editing
          ? h(
              "div",
              { role: "status", key: "findings" },
              this.findings.error
                ? problem(this.findings.error)
                : this.findings.value === null
                  ? h("p", { class: "quiet" }, "It is checked as you type.")
                  : this.findings.value.valid
                    ? h("p", {}, badge("valid"))
                    : h("p", {}, badge("invalid")),
              found.map((each, place) =>
                h(
                  "p",
                  { key: place },
                  badge(each.severity === "FINDING_SEVERITY_ERROR" ? "failed" : "waiting"),
                  " ",
                  line(each.message),
                  h("span", { class: "quiet" }, ` at character ${count(each.offset)}`),
                ),
              ),
            )
          : null,
        policy.builtin ? null : this.#versions(policy),
      ),
    );
  }

  #versions(policy) {
    const { value, error } = this.versions;
    return h(
      "div",
      { key: "versions" },
      h("h3", {}, "Versions"),
      problem(error),
      table(
        "Versions",
        [
          { name: "Version", cell: (each) => number(count(each.version)) },
          { name: "By", cell: (each) => line(each.author) },
          { name: "At", cell: (each) => moment(time(each.create_time)) },
          {
            name: " ",
            align: "end",
            cell: (each) =>
              count(each.version) === count(policy.version)
                ? h("span", { class: "quiet" }, "this one")
                : button("Edit from this one", () => this.#edit(each.text), { kind: "small" }),
          },
        ],
        value?.items ?? [],
        { id: (each) => each.version },
      ),
    );
  }

  #edit(text) {
    this.draft = text;
    this.findings.value = null;
    this.findings.error = null;
    if (text) this.findings.load();
    this.app.changed();
  }

  #typed(text) {
    this.draft = text;
    clearTimeout(this.typing);
    this.typing = setTimeout(() => text && this.findings.load(), TYPING_MS);
    this.app.changed();
  }

  async #save(policy) {
    const id = requestId();
    const answer = await this.app.ask({
      title: "Save this policy?",
      action: "Save",
      body: [
        h("p", {}, h("code", {}, plain(policy.name))),
        h("p", {}, "It decides from the next call on, for everybody of this tenant."),
      ],
    });
    if (!answer) return;
    const told = await this.app.act(
      "Save",
      () =>
        this.app.api.call("access/PutPolicy", {
          policy: {
            name: policy.name,
            text: this.draft,
            description: policy.description ?? "",
            etag: policy.etag ?? "",
          },
          request_id: id,
        }),
      "The policy is in force.",
    );
    if (!told) return;
    this.#edit(null);
    this.policies.load();
    this.versions.load();
  }

  async #new() {
    const id = requestId();
    const answer = await this.app.ask({
      title: "New policy",
      action: "Create",
      body: [h("p", {}, "In Cedar's text form. It is checked before it counts.")],
      fields: [
        { name: "name", label: "Id", required: true, pattern: "[a-z0-9][a-z0-9._\\-]*", maxlength: 63 },
        { name: "description", label: "Description", maxlength: 512 },
        { name: "text", label: "Cedar", rows: 8, required: true },
      ],
    });
    if (!answer) return;
    const told = await this.app.act(
      "Create",
      () =>
        this.app.api.call("access/PutPolicy", {
          policy: { name: `policies/${answer.name}`, text: answer.text, description: answer.description },
          request_id: id,
        }),
      "The policy is in force.",
    );
    if (!told) return;
    this.policies.load();
    this.app.with({ policy: answer.name });
  }

  #groups() {
    const { value, error, asOf } = this.groups;
    return [
      problem(error, () => this.groups.load()),
      h(
        "div",
        { class: "columns side" },
        panel(
          "Groups",
          { asOf, flush: true },
          !value
            ? error
              ? null
              : waitingFor("Asking\u2026")
            : value.items.length
              ? h(
                  "ul",
                  { class: "list" },
                  value.items.map((each) =>
                    h(
                      "li",
                      { key: each.name },
                      h(
                        "a",
                        {
                          class: "entry",
                          href: address("policies", { tab: "groups", group: last(each.name) }),
                          "aria-current": last(each.name) === this.query.group ? "true" : undefined,
                        },
                        h(
                          "span",
                          { class: "row" },
                          h("strong", {}, line(each.title || last(each.name))),
                          h("span", { class: "space" }),
                          h("span", { class: "note" }, `${number(count(each.member_count))} members`),
                        ),
                        h("span", { class: "quiet" }, line(each.description || "")),
                      ),
                    ),
                  ),
                )
              : empty("No groups", "A group lets several agents share one grant."),
        ),
        this.query.group
          ? panel(
              plain(this.query.group),
              { asOf: this.members.asOf, flush: true },
              problem(this.members.error),
              table(
                "Members",
                [
                  {
                    name: "Member",
                    cell: (each) => (each.member.startsWith("agents/") ? agentLink(each.member) : line(each.member)),
                  },
                  { name: "Since", cell: (each) => moment(time(each.create_time)) },
                ],
                this.members.value?.items ?? [],
                { id: (each) => each.member, none: this.members.value ? empty("No members") : null },
              ),
            )
          : panel("No group is selected", {}, h("p", { class: "quiet" }, "Select one to see its members.")),
      ),
    ];
  }

  #grants() {
    const { value, error, asOf } = this.grants;
    return [
      h(
        "form",
        {
          class: "filters",
          key: `f-${this.query.grantee}-${this.query.resource}`,
          onsubmit: (event) => {
            event.preventDefault();
            const { elements } = event.currentTarget;
            this.app.with({ grantee: elements.grantee.value.trim(), resource: elements.resource.value.trim() });
          },
        },
        field("Given to", { name: "grantee", value: this.query.grantee ?? "", placeholder: "agents/coder" }),
        field("Covers", {
          name: "resource",
          value: this.query.resource ?? "",
          placeholder: "agents/planner/files/plan.md",
        }),
        h("button", { type: "submit" }, "Filter"),
      ),
      problem(error, () => this.grants.load()),
      panel(
        "Grants",
        {
          asOf,
          flush: true,
          actions: [
            button("Grant\u2026", () => give(this.app, this.query.grantee ?? "", () => this.grants.load()), {
              kind: "small",
            }),
          ],
        },
        !value
          ? error
            ? null
            : waitingFor("Asking\u2026")
          : grantTable(this.app, value.items, () => this.grants.load()),
      ),
    ];
  }

  #rules() {
    const { value, error, asOf } = this.rules;
    return [
      problem(error, () => this.rules.load()),
      panel(
        "Approval rules",
        { asOf, flush: true },
        !value
          ? error
            ? null
            : waitingFor("Asking\u2026")
          : table(
              "Approval rules",
              [
                { name: "Rule", cell: (each) => line(last(each.name)) },
                { name: "Action", cell: (each) => h("code", {}, plain(each.action || "any")) },
                { name: "Resource", cell: (each) => line(each.resource || "any") },
                { name: "People", align: "end", cell: (each) => number(count(each.deciders)) },
                { name: "Description", wrap: true, cell: (each) => line(each.description || "") },
                { name: "By", cell: (each) => line(each.creator || "") },
              ],
              value.items,
              {
                id: (each) => each.name,
                none: empty("No rules", "One person's say is enough for whatever needs approval."),
              },
            ),
      ),
      warning("How many different people must approve before a call runs; nobody's own call counts."),
    ];
  }
}
