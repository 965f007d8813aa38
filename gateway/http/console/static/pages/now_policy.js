// The scheduling policy of each class, and changing it.

import { count, seconds, word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { number, span } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { line } from "../lib/text.js";
import { button, panel, problem, table, waitingFor } from "../lib/widgets.js";

export class PolicyPanel {
  constructor(app, kind) {
    this.app = app;
    this.kind = kind;
    this.policies = new Loaded(
      (signal) => app.api.call("scheduler/GetPolicy", { lane: kind() }, { signal }),
      () => app.changed(),
    );
  }

  load() {
    this.policies.load();
  }

  view(queues) {
    const { value, error, asOf } = this.policies;
    const rows = (value?.classes ?? []).map((each) => ({
      name: word(each.scheduling_class, "SCHEDULING_CLASS"),
      wire: each.scheduling_class,
      policy: each.policy ?? {},
      queue: queues.find((queue) => queue.scheduling_class === each.scheduling_class) ?? {},
    }));
    return panel(
      "Classes and policy",
      { asOf, flush: true },
      problem(error, () => this.load()),
      !value && !error ? waitingFor("Asking\u2026") : null,
      table(
        "Classes",
        [
          { name: "Class", cell: (row) => row.name },
          { name: "Policy", cell: (row) => line(row.policy.name) },
          { name: "Waits", align: "end", cell: (row) => number(count(row.queue.waiting_count)) },
          { name: "Runs", align: "end", cell: (row) => number(count(row.queue.running_count)) },
          {
            name: "Oldest",
            align: "end",
            cell: (row) => (count(row.queue.waiting_count) ? span(seconds(row.queue.oldest_wait)) : "\u2013"),
          },
          {
            name: " ",
            align: "end",
            cell: (row) =>
              button("Change", () => this.#change(row), {
                kind: "small",
                name: `Change the policy of class ${row.name}`,
              }),
          },
        ],
        rows,
        { id: (row) => row.wire },
      ),
    );
  }

  async #change(row) {
    const available = this.policies.value?.available ?? [];
    const parameters = JSON.stringify(row.policy.parameters ?? {}, null, 2);
    const answer = await this.app.ask({
      title: `Policy of class ${row.name}`,
      action: "Set policy",
      body: [
        h("p", {}, "The order of this class's waiting calls. It changes at once, for everybody; what runs goes on."),
      ],
      fields: [
        {
          name: "policy",
          label: "Policy",
          options: [...new Set([row.policy.name, ...available])].map((name) => [name, name]),
          value: row.policy.name,
        },
        {
          name: "parameters",
          label: "Parameters (JSON)",
          rows: 4,
          value: parameters,
          note: "Left as they are when another policy is chosen: that one's defaults.",
        },
      ],
    });
    if (!answer) return;
    const policy = { name: answer.policy };
    if (answer.parameters !== parameters) {
      try {
        policy.parameters = JSON.parse(answer.parameters || "{}");
      } catch {
        this.app.say("The parameters are no JSON: nothing was changed.");
        return;
      }
    } else if (answer.policy === row.policy.name) return;
    await this.app.act(
      "Set policy",
      () => this.app.api.call("scheduler/SetPolicy", { scheduling_class: row.wire, policy, lane: this.kind() }),
      `Class ${row.name} is served by ${answer.policy}.`,
    );
    this.load();
  }
}
