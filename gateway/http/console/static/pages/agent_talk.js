// An agent's conversations: what was said, and what of it went to the model.

import { count, last, time, word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { counted, moment, number } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { markdown } from "../lib/markdown.js";
import { requestId } from "../lib/api.js";
import { address } from "../lib/router.js";
import { block, line, plain } from "../lib/text.js";
import { badge, button, choices, empty, facts, panel, problem, waitingFor, warning } from "../lib/widgets.js";
import { pretty } from "./tools.js";
import { SentWindows } from "./agent_windows.js";

const EVERY_SECONDS = 3;
const MOST = 500;

export class TalkTab {
  constructor(app, page) {
    Object.assign(this, { app, page });
    const changed = () => app.changed();
    this.list = new Loaded(
      (signal) =>
        app.api.all("context/ListContexts", { parent: page.name }, "contexts", { most: 200, size: 100, signal }),
      changed,
      { every: EVERY_SECONDS },
    );
    this.messages = new Loaded((signal) => this.#ask(signal), changed, { every: EVERY_SECONDS });
    this.windows = new SentWindows(app, () => this.name);
  }

  get name() {
    return this.query.context ? `${this.page.name}/contexts/${this.query.context}` : "";
  }

  async #ask(signal) {
    const { items, more } = await this.app.api.all(
      "context/ListMessages",
      { name: this.name, newest_first: true },
      "messages",
      { most: MOST, size: 100, signal },
    );
    return { items: items.reverse(), more };
  }

  enter(query, first) {
    const before = this.query ?? {};
    this.query = query;
    if (first) this.list.load();
    if (query.context !== before.context) {
      this.messages.stop();
      this.messages.value = null;
      this.windows.clear();
      if (query.context) this.messages.load();
    }
    if (query.context && query.show === "windows" && (query.context !== before.context || before.show !== "windows"))
      this.windows.load();
    if (query.show !== "windows") this.windows.stop();
  }

  leave() {
    this.list.stop();
    this.messages.stop();
    this.windows.stop();
  }

  visible(shown) {
    if (!shown) this.leave();
    else {
      this.list.load();
      if (this.name) this.messages.load();
    }
  }

  view() {
    const { value, error, asOf } = this.list;
    const chosen = value?.items.find((each) => last(each.name) === this.query.context);
    return [
      problem(error, () => this.list.load()),
      h(
        "div",
        { class: "columns side", key: "columns" },
        panel(
          "Conversations",
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
                          href: address("agent", { id: this.page.id, tab: "talk", context: last(each.name) }),
                          "aria-current": each === chosen ? "true" : undefined,
                        },
                        h(
                          "span",
                          { class: "row" },
                          h("strong", {}, line(each.title || last(each.name))),
                          h("span", { class: "space" }),
                          h("span", { class: "note" }, counted(count(each.message_count), "message")),
                        ),
                        h(
                          "span",
                          { class: "quiet" },
                          `${number(count(each.token_count))} tokens, changed ${moment(time(each.update_time))}`,
                        ),
                        each.parent
                          ? h(
                              "span",
                              { class: "note" },
                              "forked from ",
                              line(last(each.parent)),
                              ` at ${count(each.forked_at)}`,
                            )
                          : null,
                      ),
                    ),
                  ),
                )
              : empty("No conversations", "An agent that keeps its messages in the kernel has them here."),
        ),
        chosen
          ? this.#conversation(chosen)
          : panel("No conversation is selected", {}, h("p", { class: "quiet" }, "Select one to read it.")),
      ),
    ];
  }

  #conversation(context) {
    const windows = this.query.show === "windows";
    return panel(
      plain(context.title || last(context.name)),
      {
        key: context.name,
        asOf: windows ? this.windows.asOf : this.messages.asOf,
        flush: true,
        actions: [
          choices(
            "Show",
            [
              ["", "Messages"],
              ["windows", "As sent"],
            ],
            this.query.show ?? "",
            (show) => this.app.with({ show }),
          ),
        ],
      },
      h(
        "div",
        { class: "inset" },
        facts([
          ["Model", context.model ? line(context.model) : "the default"],
          ["Fits by", word(context.strategy, "WINDOW_STRATEGY") || "default"],
          ["Window", count(context.token_budget) ? `${number(count(context.token_budget))} tokens` : "the model's"],
          ["Kept for the answer", number(count(context.reserve_tokens))],
          ["All messages", `${number(count(context.token_count))} tokens`],
        ]),
      ),
      windows ? this.windows.view(this.messages.value?.items ?? []) : this.#messages(context),
    );
  }

  #messages(context) {
    const { value, error } = this.messages;
    if (!value) return problem(error, () => this.messages.load()) ?? waitingFor("Asking\u2026");
    if (!value.items.length) return empty("Nothing was said yet");
    return [
      context.untrusted ? warning("Something in this conversation nobody vouches for.") : null,
      value.more ? h("p", { class: "quiet inset", key: "more" }, `Only the newest ${MOST} messages are shown.`) : null,
      h(
        "div",
        { class: "messages", key: "messages" },
        value.items.map((each) =>
          message(each, {
            buttons: [
              button(each.pinned ? "Unpin" : "Pin", () => this.#pin(context, each), {
                kind: "small plain",
                name: `${each.pinned ? "Unpin" : "Pin"} message ${count(each.position)}`,
              }),
              button("Fork\u2026", () => this.#fork(context, each), {
                kind: "small plain",
                name: `Fork at message ${count(each.position)}`,
              }),
            ],
          }),
        ),
      ),
    ];
  }

  async #pin(context, each) {
    const body = { name: context.name, position: each.position, pinned: !each.pinned, request_id: requestId() };
    await this.app.act(
      each.pinned ? "Unpin" : "Pin",
      () => this.app.api.call("context/PinMessage", body),
      each.pinned ? "It may be dropped again." : "It stays in every window.",
    );
    this.messages.load();
  }

  async #fork(context, each) {
    const id = requestId();
    const answer = await this.app.ask({
      title: "Fork this conversation?",
      action: "Fork",
      body: [
        h(
          "p",
          {},
          `A new conversation with all up to message ${count(each.position)}. This one stays as it is; going on in the new one calls the model again.`,
        ),
      ],
      fields: [
        {
          name: "name",
          label: "Id of the new one",
          required: true,
          pattern: "[a-z0-9][a-z0-9._\\-]*",
          maxlength: 63,
          value: `${last(context.name).slice(0, 50)}-fork`,
        },
      ],
    });
    if (!answer) return;
    const told = await this.app.act(
      "Fork",
      () =>
        this.app.api.call("context/ForkContext", {
          name: `${this.page.name}/contexts/${answer.name}`,
          source: context.name,
          at_position: each.position,
          request_id: id,
        }),
      "Forked.",
    );
    if (!told) return;
    this.list.load();
    this.app.with({ context: answer.name });
  }
}

/** One message: role, text, the tools it calls; `out` says why it is not in a window. */
export function message(
  { position, message: said = {}, pinned, token_count: tokens, create_time: at },
  { buttons = [], out = "", note = null } = {},
) {
  const role = word(said.role, "ROLE");
  return h(
    "article",
    { class: out ? "message out" : "message", key: `${position ?? "new"}-${role}` },
    h(
      "div",
      {},
      h("div", { class: "role" }, role),
      pinned ? badge("ok", "stays in every window") : null,
      pinned ? h("span", { class: "note" }, "pinned") : null,
      out ? h("div", { class: "note" }, out) : null,
      note,
    ),
    h(
      "div",
      {},
      said.content
        ? role === "tool"
          ? block(said.content)
          : h("div", { class: "prose" }, markdown(said.content))
        : null,
      (said.tool_calls ?? []).map((call) =>
        h(
          "div",
          { key: call.id },
          h("p", {}, "calls ", h("code", {}, plain(call.name))),
          block(pretty(call.arguments_json)),
        ),
      ),
    ),
    h(
      "div",
      { class: "meta" },
      position !== undefined ? `no. ${count(position)}` : null,
      h("br"),
      tokens ? counted(count(tokens), "token") : null,
      at ? [h("br"), moment(time(at))] : null,
      buttons.length ? h("div", { class: "buttons" }, buttons) : null,
    ),
  );
}
