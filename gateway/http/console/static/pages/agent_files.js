// An agent's files: what each holds, its versions and what changed between them, and the trash.

import { requestId } from "../lib/api.js";
import { count, time } from "../lib/decode.js";
import { sideBySide } from "../lib/diff.js";
import { h } from "../lib/dom.js";
import { counted, moment, number, size } from "../lib/format.js";
import { Loaded } from "../lib/loaded.js";
import { address } from "../lib/router.js";
import { block, line, marked, plain } from "../lib/text.js";
import {
  agentLink,
  button,
  choices,
  empty,
  facts,
  panel,
  problem,
  table,
  tabs,
  waitingFor,
  warning,
} from "../lib/widgets.js";

const EVERY_SECONDS = 5;
const SHOWN_BYTES = 200_000;
const VIEWS = [
  ["", "Content"],
  ["versions", "Versions"],
  ["diff", "Changes"],
];

export class FilesTab {
  constructor(app, page) {
    Object.assign(this, { app, page });
    const changed = () => app.changed();
    const root = `${page.name}/files`;
    this.list = new Loaded(
      (signal) =>
        app.api.all("storage/ListFiles", { parent: root, recursive: true }, "files", { most: 2000, size: 500, signal }),
      changed,
    );
    this.trash = new Loaded(
      (signal) => app.api.all("storage/ListTrash", { parent: page.name }, "files", { most: 500, size: 100, signal }),
      changed,
    );
    this.usage = new Loaded((signal) => app.api.call("storage/GetUsage", { name: page.name }, { signal }), changed, {
      every: EVERY_SECONDS,
    });
    this.content = new Loaded((signal) => this.#read(signal), changed);
    this.versions = new Loaded(
      (signal) =>
        app.api.all("storage/ListVersions", { name: this.file }, "versions", { most: 200, size: 100, signal }),
      changed,
    );
    this.diff = new Loaded(
      (signal) =>
        app.api.call("storage/DiffVersions", { name: this.file, ...this.#span(), context_lines: 3 }, { signal }),
      changed,
    );
  }

  get file() {
    return this.query.file ? `${this.page.name}/files/${this.query.file}` : "";
  }

  #span() {
    const all = this.versions.value?.items ?? [];
    const to = this.query.to || String(count(all[0]?.version));
    return { from_version: this.query.from || String(Math.max(1, Number(to) - 1)), to_version: to };
  }

  async #read(signal) {
    const path = this.file.split("/").map(encodeURIComponent).join("/");
    const response = await this.app.api.open("GET", `/console/files/${path}`, undefined, { signal });
    const reader = response.body.getReader();
    const parts = [];
    let length = 0;
    while (length <= SHOWN_BYTES) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      length += value.length;
    }
    await reader.cancel();
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer()).subarray(0, SHOWN_BYTES);
    const cut = length > SHOWN_BYTES;
    try {
      return { text: new TextDecoder("utf-8", { fatal: !cut }).decode(bytes), cut };
    } catch {
      return { text: null, cut };
    }
  }

  topics() {
    return {
      files: { method: "storage/WatchFiles", request: { parent: `${this.page.name}/files` }, take: this.#changed },
    };
  }

  #changed = () => {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.#reload(), 300);
  };

  #reload() {
    this.list.load();
    if (this.query.trash) this.trash.load();
    if (this.file) this.#open();
  }

  #open() {
    this.versions.load().then(() => this.query.show === "diff" && this.versions.value && this.diff.load());
    this.content.load();
  }

  enter(query, first) {
    const before = this.query ?? {};
    this.query = query;
    if (first) for (const each of [this.list, this.usage]) each.load();
    if (query.trash && !before.trash) this.trash.load();
    if (query.file !== before.file) {
      for (const each of [this.content, this.versions, this.diff]) Object.assign(each, { value: null, error: null });
      if (query.file) this.#open();
    } else if (
      query.show === "diff" &&
      this.file &&
      (before.show !== "diff" || before.from !== query.from || before.to !== query.to)
    )
      this.diff.load();
  }

  leave() {
    clearTimeout(this.soon);
    for (const each of [this.list, this.trash, this.usage, this.content, this.versions, this.diff]) each.stop();
  }

  view() {
    const { value, error, asOf } = this.list;
    const used = this.usage.value;
    const trash = Boolean(this.query.trash);
    const shown = trash ? this.trash : this.list;
    return [
      problem(shown.error ?? error, () => shown.load()),
      h(
        "div",
        { class: "columns side", key: "columns" },
        panel(
          "Files",
          {
            asOf: trash ? this.trash.asOf : asOf,
            flush: true,
            note: used
              ? `${counted(count(used.file_count), "file")}, ${size(count(used.file_bytes) + count(used.version_bytes) + count(used.trash_bytes))}${count(used.quota_bytes) ? ` of ${size(count(used.quota_bytes))}` : ""}`
              : null,
            actions: [
              choices(
                "Which",
                [
                  ["", "Kept"],
                  ["1", "Trash"],
                ],
                this.query.trash ?? "",
                (to) => this.app.with({ trash: to, file: "" }),
              ),
            ],
          },
          trash ? this.#trash() : this.#tree(value, error),
        ),
        this.file && !trash
          ? this.#file(value?.items.find((each) => each.name === this.file))
          : panel(
              "No file is selected",
              {},
              h(
                "p",
                { class: "quiet" },
                trash
                  ? "What was deleted can be restored until it is purged."
                  : "Select one to see its content and versions.",
              ),
            ),
      ),
    ];
  }

  #tree(value, error) {
    if (!value) return error ? null : waitingFor("Asking\u2026");
    if (!value.items.length) return empty("No files", "What the agent writes shows here.");
    const root = `${this.page.name}/files/`;
    const items = value.items
      .map((each) => ({ ...each, path: each.name.slice(root.length) }))
      .sort((a, b) => (a.path < b.path ? -1 : 1));
    return [
      value.more ? h("p", { class: "quiet inset", key: "more" }, "Only the first 2,000 are shown.") : null,
      h(
        "ul",
        { class: "list files", style: { "max-height": "600px", "overflow-y": "auto" }, key: "list" },
        items.map((each) => {
          const depth = each.path.split("/").length - 1;
          const name = each.path.split("/").at(-1);
          const indent = { style: { "padding-left": `${16 + depth * 16}px` } };
          return h(
            "li",
            { key: each.name },
            each.kind === "FILE_KIND_DIRECTORY"
              ? h("div", { class: "entry quiet", ...indent }, line(name), "/")
              : h(
                  "a",
                  {
                    class: "entry",
                    ...indent,
                    href: address("agent", { id: this.page.id, tab: "files", file: each.path }),
                    "aria-current": each.name === this.file ? "true" : undefined,
                  },
                  h(
                    "span",
                    { class: "row" },
                    line(name),
                    h("span", { class: "space" }),
                    h("span", { class: "note" }, `v${count(each.version)}, ${size(count(each.size_bytes))}`),
                  ),
                ),
          );
        }),
      ),
    ];
  }

  #trash() {
    const { value, error } = this.trash;
    if (!value) return error ? null : waitingFor("Asking\u2026");
    return table(
      "Trash",
      [
        { name: "File", cell: (each) => line(each.name.split("/files/")[1] ?? each.name) },
        { name: "Deleted", cell: (each) => moment(time(each.delete_time)) },
        { name: "Purged", cell: (each) => moment(time(each.purge_time)) },
        {
          name: " ",
          align: "end",
          cell: (each) =>
            button("Restore", () => this.#restore(each), { kind: "small", name: `Restore ${plain(each.name)}` }),
        },
      ],
      value.items,
      { id: (each) => each.name, none: empty("The trash is empty") },
    );
  }

  async #restore(file) {
    await this.app.act(
      "Restore",
      () => this.app.api.call("storage/RestoreFile", { name: file.name, request_id: requestId() }),
      "Restored.",
    );
    this.trash.load();
    this.list.load();
  }

  #file(file) {
    const view = VIEWS.some(([name]) => name === this.query.show) ? (this.query.show ?? "") : "";
    return panel(
      plain(this.query.file),
      {
        key: this.file,
        asOf: this.versions.asOf,
        actions: [
          h(
            "a",
            {
              key: "download",
              href: `/console/files/${this.file.split("/").map(encodeURIComponent).join("/")}`,
              download: "",
            },
            "Download",
          ),
        ],
      },
      h(
        "div",
        { class: "stack" },
        file?.untrusted ? warning("Nobody vouches for what this file says.") : null,
        file
          ? facts([
              ["Version", number(count(file.version))],
              ["Size", size(count(file.size_bytes))],
              ["Kind", line(file.media_type ?? "")],
              ["Writer", file.writer?.startsWith("agents/") ? agentLink(file.writer) : line(file.writer ?? "")],
              ["Changed", moment(time(file.update_time))],
            ])
          : null,
        h(
          "div",
          { key: "views" },
          tabs("Of this file", VIEWS, view, (show) => address("agent", { ...this.query, show, from: "", to: "" })),
          view === "versions" ? this.#versions(file) : view === "diff" ? this.#diff() : this.#content(),
        ),
      ),
    );
  }

  #content() {
    const { value, error } = this.content;
    if (!value) return problem(error, () => this.content.load()) ?? waitingFor("Reading\u2026");
    if (value.text === null) return empty("It is no text", "Download it to see what it is.");
    return [
      value.cut ? warning(`Only the first ${size(SHOWN_BYTES)} are shown.`) : null,
      value.text ? block(value.text) : empty("It is empty"),
    ];
  }

  #versions(file) {
    const { value, error } = this.versions;
    if (!value) return problem(error) ?? waitingFor("Asking\u2026");
    return table(
      "Versions",
      [
        { name: "Version", cell: (each) => number(count(each.version)) },
        { name: "Written", cell: (each) => moment(time(each.create_time)) },
        {
          name: "By",
          cell: (each) => (each.writer?.startsWith("agents/") ? agentLink(each.writer) : line(each.writer ?? "")),
        },
        { name: "Size", align: "end", cell: (each) => size(count(each.size_bytes)) },
        {
          name: "Comment",
          cell: (each) => [
            line(each.comment ?? ""),
            count(each.restored_version)
              ? h("span", { class: "note" }, ` version ${count(each.restored_version)} again`)
              : null,
          ],
        },
        {
          name: " ",
          align: "end",
          cell: (each) =>
            h(
              "span",
              { class: "buttons" },
              count(each.version) > 1
                ? h(
                    "a",
                    {
                      href: address("agent", {
                        ...this.query,
                        show: "diff",
                        from: String(count(each.version) - 1),
                        to: String(count(each.version)),
                      }),
                    },
                    "Changes",
                  )
                : null,
              file && count(each.version) !== count(file.version)
                ? button("Roll back", () => this.#rollBack(file, each), {
                    kind: "small",
                    name: `Roll back to version ${count(each.version)}`,
                  })
                : null,
            ),
        },
      ],
      value.items,
      { id: (each) => each.version },
    );
  }

  async #rollBack(file, version) {
    const id = requestId();
    const answer = await this.app.ask({
      title: `Roll back to version ${count(version.version)}?`,
      action: "Roll back",
      body: [
        h("p", {}, line(this.query.file)),
        h("p", {}, "It becomes a new version with the content of that one; nothing is lost."),
      ],
    });
    if (answer)
      await this.app.act(
        "Roll back",
        () =>
          this.app.api.call("storage/RollbackFile", {
            name: file.name,
            version: version.version,
            etag: file.etag,
            request_id: id,
          }),
        "Rolled back.",
      );
    this.#reload();
  }

  #diff() {
    const all = this.versions.value?.items ?? [];
    const { value, error } = this.diff;
    if (all.length === 1) return empty("There is one version", "Changes show once there are two.");
    const { from_version: from, to_version: to } = this.#span();
    const pick = (name, label, current) =>
      h(
        "label",
        { key: name, class: "row" },
        label,
        h(
          "select",
          {
            value: String(current),
            onchange: (event) => this.app.with({ from, to, [name]: event.target.value }),
            style: { width: "auto" },
          },
          all.map((each) => h("option", { key: each.version, value: String(each.version) }, `version ${each.version}`)),
        ),
      );
    return [
      h(
        "div",
        { class: "row", key: "pick" },
        pick("from", "From", from),
        pick("to", "to", to),
        value
          ? h(
              "span",
              { class: "note" },
              `${number(count(value.added_lines))} lines added, ${number(count(value.removed_lines))} removed`,
            )
          : null,
      ),
      problem(error),
      !value
        ? error
          ? null
          : waitingFor("Comparing\u2026")
        : [value.truncated ? warning("The change is longer than what is shown.") : null, diffTable(value.unified_diff)],
    ];
  }
}

function diffTable(unified) {
  const rows = sideBySide(unified);
  if (!rows.length) return empty("Nothing changed");
  const side = (cell) => [
    h("td", { class: "no" }, cell?.number ?? ""),
    h("td", { class: cell?.change || undefined }, cell ? marked(cell.text, { lines: true }) : ""),
  ];
  return h(
    "div",
    { class: "table", tabindex: "0", role: "region", "aria-label": "Changes, before and after", key: "diff" },
    h(
      "table",
      { class: "diff" },
      h(
        "colgroup",
        {},
        ["no", "text", "no", "text"].map((name, place) => h("col", { key: place, class: name })),
      ),
      h(
        "tbody",
        {},
        rows.map((row, place) =>
          row.hunk
            ? h("tr", { key: place, class: "hunk" }, h("td", { colspan: 4 }, plain(row.hunk)))
            : h("tr", { key: place }, renamed(side(row.left), "l"), renamed(side(row.right), "r")),
        ),
      ),
    ),
  );
}

const renamed = (cells, prefix) => cells.map((cell, place) => ({ ...cell, key: prefix + place }));
