// A question to the policies, without doing anything: may X do Y on Z, and by what.

import { word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { address } from "../lib/router.js";
import { line } from "../lib/text.js";
import { badge, field, panel, problem } from "../lib/widgets.js";

export class Try {
  constructor(app, agent = "") {
    Object.assign(this, { app, agent, asked: null });
    this.answer = new Loaded(
      (signal) => app.api.call("access/ReviewAccess", this.asked, { signal }),
      () => app.changed(),
    );
  }

  #submit = (event) => {
    event.preventDefault();
    const { elements } = event.currentTarget;
    const [subject, action, resource] = ["subject", "action", "resource"].map((name) => elements[name].value.trim());
    this.asked = {
      subject: subject && !subject.includes("/") ? `agents/${subject}` : subject,
      questions: [{ action, resource }],
    };
    this.answer.load();
  };

  view() {
    const { value, error, asOf } = this.answer;
    const question = this.asked?.questions[0] ?? {};
    return panel(
      "May it?",
      { note: "asks the policies; nothing is done" },
      h(
        "form",
        { class: "filters", onsubmit: this.#submit },
        field("Who", {
          name: "subject",
          placeholder: "planner, or persons/amy",
          value: this.asked?.subject ?? this.agent,
        }),
        field("Action", {
          name: "action",
          required: true,
          placeholder: "storage.read",
          pattern: "[a-z]+\\.[a-z_]+",
          value: question.action ?? "",
        }),
        field("On", { name: "resource", placeholder: "agents/coder/files/README.md", value: question.resource ?? "" }),
        h("button", { type: "submit", class: "primary", disabled: this.answer.busy }, "Ask"),
      ),
      problem(error),
      value?.reviews?.length ? this.#decision(value.reviews[0], asOf) : null,
    );
  }

  #decision(decision, asOf) {
    const policies = decision.policies ?? [];
    const to = (name) =>
      name.startsWith("grants/")
        ? address("policies", { tab: "grants" })
        : address("policies", { policy: name.replace("policies/", "").split("#")[0] });
    return h(
      "div",
      { role: "status", class: "stack", key: "decision" },
      h(
        "p",
        {},
        badge(decision.allowed ? "allowed" : "denied"),
        " ",
        h("strong", {}, decision.allowed ? "Yes" : "No"),
        `: ${word(decision.reason, "DECISION_REASON")}`,
        h("span", { class: "quiet" }, `, as of ${clock(asOf)}`),
      ),
      decision.summary ? h("p", {}, line(decision.summary)) : null,
      policies.length
        ? h(
            "p",
            {},
            decision.allowed ? "Permitted by " : "Decided by ",
            policies.map((name) => h("a", { key: name, href: to(name) }, line(name), " ")),
          )
        : h("p", { class: "quiet" }, "No policy says yes."),
      decision.effect_matters ? h("p", { class: "quiet" }, "For a tool the answer may depend on its effect.") : null,
    );
  }
}
