// Signing in: with a key, a token, or the code of an address that `aios console` printed.

import { Refusal } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { field, problem, waitingFor } from "../lib/widgets.js";

export class SignInPage {
  title = "Sign in";

  constructor(app) {
    this.app = app;
    this.busy = false;
    this.error = null;
  }

  enter(query) {
    this.next = query.next ?? "";
    this.ended = Boolean(query.ended);
    const code = new URLSearchParams(location.hash.slice(1)).get("code");
    if (!code) return;
    history.replaceState(null, "", location.pathname + location.search); // a code is for once: it leaves the address bar
    this.#send({ code });
  }

  async #send(body) {
    this.busy = true;
    this.error = null;
    this.app.changed();
    try {
      this.app.signedIn(await this.app.api.send("POST", "/console/session", body), this.next);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.error = error;
    } finally {
      this.busy = false;
      this.app.changed();
    }
  }

  #submit = (event) => {
    event.preventDefault();
    const input = event.currentTarget.elements.credential;
    const credential = input.value.trim();
    if (!credential) return input.focus();
    input.value = "";
    return this.#send({ credential });
  };

  view() {
    return h(
      "section",
      { class: "panel", key: "sign-in" },
      h(
        "div",
        { class: "body" },
        h("h1", {}, "AIOS"),
        h("p", { class: "quiet" }, "Sign in to this kernel."),
        this.ended && !this.error
          ? h(
              "p",
              { class: "warning", role: "status", key: "ended" },
              "Your session has ended. Sign in to go on where you were.",
            )
          : null,
        problem(this.error ?? this.app.refused),
        h(
          "form",
          { onsubmit: this.#submit, key: "form" },
          field(
            "Key or token",
            {
              name: "credential",
              type: "password",
              required: true,
              autocomplete: "current-password",
              mounted: (input) => input.focus(),
            },
            {
              note: "A person's or agent's key, or an administrator's token. It is exchanged for a session of its own and not kept.",
            },
          ),
          h("button", { type: "submit", class: "primary big", disabled: this.busy }, "Sign in"),
        ),
        this.busy
          ? waitingFor("Signing in\u2026")
          : h(
              "p",
              { class: "note", key: "way" },
              "On the kernel's own machine ",
              h("code", {}, "aios console"),
              " opens this page signed in.",
            ),
      ),
    );
  }
}
