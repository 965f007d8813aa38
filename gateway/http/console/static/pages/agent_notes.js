// What an agent keeps in memory.

import { count, time, word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { counted, moment, number, size } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { markdown } from "../lib/markdown.js";
import { address } from "../lib/router.js";
import { line, plain } from "../lib/text.js";
import { agentLink, empty, facts, panel, problem, waitingFor, warning } from "../lib/widgets.js";

const EVERY_SECONDS = 5;
const TYPING_MS = 300;

export class NotesTab {
  constructor(app, page) {
    Object.assign(this, { app, page });
    const changed = () => app.changed();
    this.list = new Loaded((signal) => this.#ask(signal), changed, { every: EVERY_SECONDS });
    this.one = new Loaded(
      (signal) => app.api.call("memory/GetNote", { name: `${page.name}/notes/${this.query.note}` }, { signal }),
      changed,
    );
    this.usage = new Loaded((signal) => app.api.call("memory/GetUsage", { name: page.name }, { signal }), changed, {
      every: EVERY_SECONDS,
    });
  }

  async #ask(signal) {
    const words = (this.query.search ?? "").trim();
    if (!words) {
      const { items, more } = await this.app.api.all(
        "memory/ListNotes",
        { parent: this.page.name, view: "NOTE_VIEW_BASIC" },
        "notes",
        { most: 500, size: 100, signal },
      );
      return { hits: items.map((note) => ({ note })), more };
    }
    const answer = await this.app.api.call(
      "memory/SearchNotes",
      { parent: this.page.name, query: words, limit: 50, view: "NOTE_VIEW_BASIC" },
      { signal },
    );
    return { hits: answer.hits ?? [], more: false };
  }

  enter(query, first) {
    const before = this.query ?? {};
    this.query = query;
    if (first) this.usage.load();
    if (first || before.search !== query.search) {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.list.load(), first ? 0 : TYPING_MS);
    }
    if (query.note !== before.note) {
      this.one.value = null;
      if (query.note) this.one.load();
    }
  }

  leave() {
    clearTimeout(this.typing);
    for (const each of [this.list, this.one, this.usage]) each.stop();
  }

  visible(shown) {
    if (!shown) this.leave();
    else for (const each of [this.list, this.usage]) each.load();
  }

  view() {
    const { value, error, asOf } = this.list;
    const used = this.usage.value;
    const searched = Boolean(this.query.search);
    const to = (note) => address("agent", { ...this.query, note: note.key });
    return [
      problem(error, () => this.list.load()),
      h(
        "div",
        { class: "columns side", key: "columns" },
        panel(
          "Notes",
          {
            asOf,
            flush: true,
            note: used
              ? `${counted(count(used.note_count), "note")}, ${size(count(used.used_bytes))}${count(used.quota_bytes) ? ` of ${size(count(used.quota_bytes))}` : ""}`
              : null,
          },
          h(
            "div",
            { class: "inset" },
            h("input", {
              type: "search",
              "aria-label": "Search notes",
              placeholder: "Search by words or meaning",
              value: this.query.search ?? "",
              oninput: (event) => this.app.with({ search: event.target.value }),
            }),
          ),
          !value
            ? error
              ? null
              : waitingFor("Asking\u2026")
            : value.hits.length
              ? h(
                  "ul",
                  { class: "list", style: { "max-height": "560px", "overflow-y": "auto" } },
                  value.hits.map(({ note, score }) =>
                    h(
                      "li",
                      { key: note.name },
                      h(
                        "a",
                        {
                          class: "entry",
                          href: to(note),
                          "aria-current": note.key === this.query.note ? "true" : undefined,
                        },
                        h(
                          "span",
                          { class: "row" },
                          h("strong", {}, line(note.key)),
                          h("span", { class: "space" }),
                          h(
                            "span",
                            { class: "note" },
                            score === undefined ? moment(time(note.update_time)) : `score ${score.toFixed(2)}`,
                          ),
                        ),
                        h("span", { class: "quiet" }, line((note.content || "").split("\n")[0].slice(0, 120))),
                        (note.tags ?? []).length
                          ? h(
                              "span",
                              {},
                              note.tags.map((tag) => h("span", { class: "chip", key: tag }, line(tag))),
                            )
                          : null,
                      ),
                    ),
                  ),
                )
              : searched
                ? empty("No note matches")
                : empty("No notes", "What the agent remembers shows here."),
        ),
        this.query.note
          ? this.#note()
          : panel("No note is selected", {}, h("p", { class: "quiet" }, "Select one to read it.")),
      ),
    ];
  }

  #note() {
    const note = this.one.value?.note;
    if (!note)
      return panel(
        plain(this.query.note),
        {},
        problem(this.one.error, () => this.one.load()) ?? waitingFor("Asking\u2026"),
      );
    return panel(
      plain(note.key),
      { key: note.name, asOf: this.one.asOf },
      h(
        "div",
        { class: "stack" },
        note.untrusted ? warning("Nobody vouches for what this note says.") : null,
        h("div", { class: "prose" }, markdown(note.content)),
        facts([
          ["Writer", note.writer ? agentLink(note.writer) : null],
          ["Changed", moment(time(note.update_time))],
          ["Made", moment(time(note.create_time))],
          ["Expires", note.expire_time ? moment(time(note.expire_time)) : null],
          ["Category", note.category ? line(note.category) : null],
          ["Importance", note.importance ? number(note.importance) : null],
          ["Kept in", word(note.residence, "RESIDENCE")],
          ["Size", size(count(note.size_bytes))],
          [
            "Tags",
            (note.tags ?? []).length ? note.tags.map((tag) => h("span", { class: "chip", key: tag }, line(tag))) : null,
          ],
          [
            "Links",
            (note.links ?? []).length
              ? note.links.map((each) =>
                  h(
                    "a",
                    { key: each.note, href: address("agent", { ...this.query, note: each.note.split("/notes/")[1] }) },
                    line(each.note.split("/notes/")[1]),
                    ` (${word(each.kind, "LINK_KIND")}) `,
                  ),
                )
              : null,
          ],
        ]),
      ),
    );
  }
}
