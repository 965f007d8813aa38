// Parts that all pages share: one look, one wording, one way to say what is known and since when.

import { agentOf, last } from "./decode.js";
import { h } from "./dom.js";
import { clock, number } from "./format.js";
import { address } from "./router.js";
import { line, plain } from "./text.js";

/** A titled part of a page. `asOf` is when its numbers were told. */
export function panel(
  title,
  { asOf, actions = [], note = null, flush = false, key, class: name = "" } = {},
  ...children
) {
  return h(
    "section",
    { class: `panel ${flush ? "flush" : ""} ${name}`, key: key ?? title, "aria-label": title },
    h(
      "header",
      {},
      h("h2", {}, title),
      note && h("span", { class: "note" }, note),
      h("span", { class: "space" }),
      actions,
      told(asOf),
    ),
    h("div", { class: "body", key: "body" }, children),
  );
}

/** When a number was told. */
export function told(asOf) {
  if (asOf === undefined) return null;
  return h("span", { class: "as-of", key: "as-of" }, asOf === null ? "as of \u2013" : `as of ${clock(asOf)}`);
}

/** One figure with its name. */
export function figure(label, value, { unit = null, note = null, meter = null, tone = "" } = {}) {
  return h(
    "div",
    { class: `figure ${tone}`, key: label },
    h("dt", {}, label),
    h(
      "dd",
      {},
      h("span", { class: "value" }, value),
      unit && h("span", { class: "unit" }, unit),
      meter &&
        h(
          "span",
          { class: "meter", "aria-hidden": "true" },
          h("span", { style: { width: `${Math.round(100 * Math.min(1, meter.of ? meter.value / meter.of : 0))}%` } }),
        ),
      note && h("span", { class: "note" }, note),
    ),
  );
}

const TONES = {
  active: "good",
  running: "good",
  ready: "good",
  succeeded: "good",
  approved: "good",
  used: "quiet",
  ok: "good",
  intact: "good",
  broken: "bad",
  allowed: "good",
  valid: "good",
  invalid: "bad",
  up: "good",
  done: "quiet",
  waiting: "warn",
  queued: "warn",
  pending: "warn",
  "waiting approval": "warn",
  suspended: "warn",
  preempting: "hot",
  connecting: "warn",
  stopped: "hot",
  changed: "hot",
  killed: "quiet",
  cancelled: "quiet",
  expired: "quiet",
  failed: "bad",
  rejected: "bad",
  denied: "bad",
  unknown: "bad",
  down: "bad",
};

/** A state as a word with a mark beside it: never by colour alone. */
export function badge(state, title) {
  return h("span", { class: `badge ${TONES[state] ?? "quiet"}`, title }, h("i", { "aria-hidden": "true" }), state);
}

/** What there is when there is nothing. */
export function empty(title, ...words) {
  const buttons = words.filter((each) => each?.tag === "button");
  const rest = words.filter((each) => each && each.tag !== "button");
  return h(
    "div",
    { class: "empty-state", key: "empty" },
    h("p", { class: "what" }, title),
    rest.length ? h("p", {}, rest) : null,
    buttons,
  );
}

/** A refusal, in words that tell what to do. */
export function problem(error, again) {
  if (!error) return null;
  const { action, resource } = error.metadata ?? {};
  return h(
    "div",
    { class: "problem", role: "alert", key: "problem" },
    h("p", {}, h("strong", {}, line(error.message)), " ", error.reason && h("code", {}, plain(error.reason))),
    error.status === 403 &&
      action &&
      h("p", {}, "Ask for ", h("code", {}, plain(action)), resource && [" on ", h("code", {}, plain(resource))], "."),
    error.hint && h("p", {}, line(error.hint)),
    (error.violations ?? []).map((each, place) =>
      h("p", { key: `v${place}` }, h("code", {}, plain(each.field)), " ", line(each.description)),
    ),
    again && h("p", {}, button("Try again", again)),
  );
}

export function button(label, onclick, { kind = "", busy = false, disabled = false, title, key, pressed, name } = {}) {
  return h(
    "button",
    {
      type: "button",
      class: kind,
      onclick,
      disabled: disabled || busy,
      title,
      key: key ?? label,
      "aria-busy": busy ? "true" : undefined,
      "aria-pressed": pressed === undefined ? undefined : String(pressed),
      "aria-label": name,
    },
    label,
  );
}

/** A link to an agent's page. */
export function agentLink(name, label, query = {}) {
  const id = name.includes("/") ? agentOf(name) : name;
  if (id === "admin") return "admin"; // no agent: the administrator
  return id
    ? h(
        "a",
        { href: address("agent", { id, ...query }), title: plain(label ? `${label} (${id})` : id) },
        line(label || id),
      )
    : h("span", { class: "quiet" }, "\u2013");
}

export function callId(name) {
  return h("code", { title: plain(name) }, plain(last(name)));
}

/** Tabs as links: each is a view with an address. */
export function tabs(label, list, current, to) {
  return h(
    "nav",
    { class: "tabs", "aria-label": label, key: "tabs" },
    list.map(([name, words, amount]) =>
      h(
        "a",
        { href: to(name), key: name, "aria-current": name === current ? "page" : undefined },
        words,
        amount ? h("span", { class: "count" }, number(amount)) : null,
      ),
    ),
  );
}

/** Choices of which one holds. */
export function choices(label, list, current, choose) {
  return h(
    "div",
    { class: "choices", role: "group", "aria-label": label, key: label },
    list.map(([name, words]) =>
      h(
        "button",
        { type: "button", key: name, "aria-pressed": String(name === current), onclick: () => choose(name) },
        words,
      ),
    ),
  );
}

/** Names and values. */
export function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => h("div", { key: name }, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** A table of rows that all fit: `columns` are `{name, cell(row), align, wrap}`. */
export function table(
  label,
  columns,
  rows,
  { id = (row, place) => place, none = null, current = null, pick = null } = {},
) {
  if (!rows.length) return none;
  return h(
    "div",
    { class: "table", tabindex: "0", role: "region", "aria-label": label, key: label },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((each) => h("th", { key: each.name, scope: "col", class: each.align }, each.name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row, place) =>
          h(
            "tr",
            {
              key: id(row, place),
              class: current !== null && id(row, place) === current ? "current" : "",
              onclick: pick
                ? (event) => {
                    if (!event.target.closest("a, button")) pick(row);
                  }
                : undefined,
            },
            columns.map((each) => h("td", { key: each.name, class: each.wrap ? "wrap" : each.align }, each.cell(row))),
          ),
        ),
      ),
    ),
  );
}

/** A field with its label. */
export function field(label, props, { note = null } = {}) {
  const id = `f-${label.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  const { options, rows, ...rest } = props;
  const control = options
    ? h(
        "select",
        { id, ...rest },
        options.map(([value, words]) => h("option", { value, key: value }, words)),
      )
    : h(rows ? "textarea" : "input", { id, rows, autocomplete: "off", spellcheck: "false", ...rest });
  return h(
    "div",
    { class: "field", key: label },
    h("label", { for: id }, label),
    control,
    note && h("span", { class: "note" }, note),
  );
}

export const waitingFor = (words) => h("p", { class: "quiet busy", key: "busy", role: "status" }, words);
export const warning = (...words) => h("p", { class: "warning", key: "warning" }, words);
