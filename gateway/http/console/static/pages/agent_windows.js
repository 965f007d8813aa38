// What of a conversation goes to the model, and why the rest does not.

import { count, word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { counted, number } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { line } from "../lib/text.js";
import { button, problem, waitingFor } from "../lib/widgets.js";
import { message } from "./agent_talk.js";

const WHY = { "no room": "dropped: no room", summarized: "in the summary", "tool group": "dropped with its tool call" };
const ROLES = ["system", "user", "assistant", "tool"];

export class SentWindows {
  constructor(app, name) {
    Object.assign(this, { app, name });
    this.window = new Loaded(
      (signal) =>
        app.api.call("context/AssembleWindow", { name: name(), strategy: "WINDOW_STRATEGY_DROP_OLDEST" }, { signal }),
      () => app.changed(),
    );
  }

  get asOf() {
    return this.window.asOf;
  }

  load() {
    this.window.load();
  }

  stop() {
    this.window.stop();
  }

  clear() {
    this.stop();
    this.window.value = null;
    this.window.error = null;
  }

  view(messages) {
    const { value, error, busy } = this.window;
    if (!value) return problem(error, () => this.load()) ?? waitingFor("Fitting\u2026");
    return [
      h(
        "div",
        { class: "inset row", key: "how" },
        h(
          "span",
          { class: "quiet" },
          "The window as it would be sent now, without a summary or recalled notes: to look calls no model.",
        ),
        button("Fit again", () => this.load(), { kind: "small", busy }),
      ),
      budget(value),
      rows(value, messages),
    ];
  }
}

/** A bar of the window's tokens by role, with what is kept for the answer. */
export function budget(window) {
  const total = count(window.token_budget);
  const used = Object.fromEntries(ROLES.map((role) => [role, 0]));
  const weights = (window.messages ?? []).map(
    (each) => count(each.token_count) || (each.message?.content ?? "").length / 4 + 4,
  );
  const scale =
    count(window.token_count) /
    Math.max(
      1,
      weights.reduce((sum, each) => sum + each, 0),
    ); // what was not counted is shared out by length
  (window.messages ?? []).forEach((each, place) => {
    used[word(each.message?.role, "ROLE")] += Math.round(weights[place] * scale);
  });
  const reserve = Math.max(0, total - count(window.token_count) - Math.max(0, count(window.available_tokens)));
  return h(
    "div",
    { class: "inset", key: "budget" },
    h(
      "p",
      {},
      h("strong", {}, number(count(window.token_count))),
      ` of ${number(total)} tokens`,
      window.exact_count ? "" : " (estimated)",
    ),
    h(
      "div",
      { class: "budget", "aria-hidden": "true" },
      ROLES.map((role) =>
        h("span", { key: role, class: `b-${role}`, style: { width: `${total ? (100 * used[role]) / total : 0}%` } }),
      ),
      h("span", { key: "r", class: "b-reserve", style: { width: `${total ? (100 * reserve) / total : 0}%` } }),
    ),
    h(
      "div",
      { class: "legend" },
      ROLES.filter((role) => used[role]).map((role) =>
        h("span", { key: role }, h("i", { class: `b-${role}` }), `${role} ${number(used[role])}`),
      ),
    ),
  );
}

/** All messages in order: those in the window, and those that are not, with why. */
export function rows(window, messages) {
  const kept = new Set((window.messages ?? []).map((each) => count(each.position)));
  const added = new Map((window.added ?? []).map((each) => [count(each.index), each]));
  const made = (window.messages ?? []).flatMap((each, place) => {
    const origin = added.get(place);
    return origin
      ? [
          message(
            { ...each, position: undefined },
            {
              note: h(
                "div",
                { class: "note" },
                origin.summary
                  ? "a summary, made by the kernel"
                  : `${counted((origin.notes ?? []).length, "recalled note")}`,
              ),
            },
          ),
        ]
      : [];
  });
  const dropped = (position) =>
    (window.dropped ?? []).find(
      (each) => position >= count(each.first_position) && position <= count(each.last_position),
    );
  const listed = messages.map((each) => {
    const gone = kept.has(count(each.position)) ? null : dropped(count(each.position));
    return message(each, {
      out: kept.has(count(each.position)) ? "" : (WHY[word(gone?.reason, "DROP_REASON")] ?? "not in the window"),
    });
  });
  const counts = (window.dropped ?? []).map(
    (each) =>
      `${counted(count(each.last_position) - count(each.first_position) + 1, "message")} (${number(count(each.token_count))} tokens): ${word(each.reason, "DROP_REASON")}`,
  );
  return h(
    "div",
    { class: "messages", key: "rows" },
    counts.length
      ? h("p", { class: "quiet inset", key: "dropped" }, "Left out: ", line(counts.join("; ")), ".")
      : h("p", { class: "quiet inset", key: "dropped" }, "All of it fits."),
    made,
    listed,
  );
}
