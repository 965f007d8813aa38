// Questions before something is done, short words after it, and the keys.

import { h, render } from "./dom.js";
import { field } from "./widgets.js";

const SHOWN_MS = 6000;
let shown = [];
let made = 0;
let redraw = () => undefined;

/** Say something for a while; a refusal stays until it is put away. */
export function tell(text, { error = null } = {}) {
  const toast = { id: (made += 1), text, error };
  shown = [...shown.slice(-3), toast];
  if (!error) setTimeout(() => away(toast), SHOWN_MS);
  redraw();
}

function away(toast) {
  shown = shown.filter((each) => each !== toast);
  redraw();
}

/** The words at the edge of the page; the page draws them with itself. */
export function toasts() {
  return h("div", {
    class: "toasts",
    key: "toasts",
    "aria-live": "polite",
    role: "status",
    opaque: true,
    mounted: (element) => {
      redraw = () =>
        render(
          element,
          shown.map((toast) =>
            h(
              "div",
              { class: toast.error ? "toast bad" : "toast", key: toast.id },
              h(
                "div",
                {},
                h("p", {}, toast.text),
                toast.error?.hint && h("p", { class: "quiet" }, toast.error.hint),
                toast.error?.metadata?.action &&
                  h(
                    "p",
                    { class: "quiet" },
                    `Ask for ${toast.error.metadata.action}${toast.error.metadata.resource ? ` on ${toast.error.metadata.resource}` : ""}.`,
                  ),
              ),
              h(
                "button",
                { type: "button", class: "plain", "aria-label": "Put away", onclick: () => away(toast) },
                "\u00d7",
              ),
            ),
          ),
        );
      redraw();
    },
  });
}

/**
 * Ask before doing something. `fields` are `{name, label, ...props}`. Returns the fields' values, or null.
 *
 * The dialog is the platform's own: it keeps the focus, Escape leaves it, and the focus goes back to where it was.
 */
export function ask({ title, body = [], action, danger = false, fields = [] }) {
  return new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-labelledby", "question");
    const finish = (values) => {
      dialog.close();
      dialog.remove();
      resolve(values);
    };
    const submit = (event) => {
      event.preventDefault();
      finish(Object.fromEntries(fields.map(({ name }) => [name, event.currentTarget.elements[name].value])));
    };
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      finish(null);
    });
    render(
      dialog,
      h(
        "form",
        { method: "dialog", onsubmit: submit },
        h("h2", { id: "question" }, title),
        h("div", { class: "said" }, body),
        fields.map(({ label, note, ...props }) => field(label, props, { note })),
        h(
          "div",
          { class: "buttons" },
          h(
            "button",
            { type: "button", class: "plain", onclick: () => finish(null), key: "no" },
            action ? "Cancel" : "Close",
          ),
          action && h("button", { type: "submit", class: danger ? "danger" : "primary", key: "yes" }, action),
        ),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
    (
      dialog.querySelector("input, textarea, select") ??
      (danger ? dialog.querySelector("button") : dialog.querySelector("button[type=submit]")) ??
      dialog
    ).focus();
  });
}

const KEYS = [
  ["g then n, a, p, t, u", "Now, Agents (or approvals: see below), Policies, Tools, Audit"],
  ["/", "Search on this page"],
  ["\u2191 \u2193 PgUp PgDn Home End", "Move in a list"],
  ["\u2190 \u2192", "Fold and unfold in the tree of agents"],
  ["Enter", "Open what is selected"],
  ["a, r", "Approve, reject the selected approval (asks first)"],
  ["Esc", "Leave a question"],
  ["?", "These keys"],
];

/** Show the keys. */
export function help() {
  return ask({
    title: "Keyboard",
    body: [
      h(
        "dl",
        { class: "keys" },
        KEYS.map(([key, words]) => h("div", { key }, h("dt", {}, h("kbd", {}, key)), h("dd", {}, words))),
      ),
    ],
  });
}
