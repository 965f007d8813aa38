// The console: who is signed in, which view is shown, and the one stream that feeds it.

import { Api, Refusal } from "./lib/api.js";
import { ask, help, tell, toasts } from "./lib/dialogs.js";
import { last, time, word } from "./lib/decode.js";
import { h, render } from "./lib/dom.js";
import { Feed } from "./lib/feed.js";
import { clock } from "./lib/format.js";
import { address, destination, follow } from "./lib/router.js";
import { plain } from "./lib/text.js";
import { Pending } from "./lib/pending.js";
import { AgentPage } from "./pages/agent.js";
import { AgentsPage } from "./pages/agents.js";
import { ApprovalsPage } from "./pages/approvals.js";
import { AuditPage } from "./pages/audit.js";
import { NowPage } from "./pages/now.js";
import { PoliciesPage } from "./pages/policies.js";
import { SignInPage } from "./pages/signin.js";
import { ToolsPage } from "./pages/tools.js";

const PAGES = {
  now: NowPage,
  agents: AgentsPage,
  agent: AgentPage,
  approvals: ApprovalsPage,
  policies: PoliciesPage,
  tools: ToolsPage,
  audit: AuditPage,
  "sign-in": SignInPage,
};
const NAVIGATION = [
  ["now", "Now"],
  ["agents", "Agents"],
  ["approvals", "Approvals"],
  ["policies", "Policies"],
  ["tools", "Tools"],
  ["audit", "Audit"],
];
const FRAME_MS = 50;
const RENEW_MS = 60_000;
const TICK_MS = 1000;

class App {
  constructor(root) {
    this.root = root;
    this.page = null;
    this.view = null;
    this.session = null;
    this.drawn = 0;
    this.api = new Api({ expired: (refusal) => this.signedOut(refusal) });
    this.feed = new Feed(this.api, () => this.changed());
    this.pending = new Pending(this);
  }

  /** Ask who is signed in, then show the view at the address. */
  async start() {
    try {
      const session = await this.api.send("GET", "/console/session");
      this.session = session.principal ? described(session) : null;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.refused = error.expired ? null : error;
    }
    document.addEventListener("visibilitychange", () => this.page?.visible?.(!document.hidden));
    document.addEventListener("keydown", (event) => this.#key(event));
    setInterval(() => this.#renew(), RENEW_MS);
    setInterval(() => this.session && !document.hidden && this.changed(), TICK_MS); // waits grow, times pass
    this.go = follow((view) => this.#show(view));
  }

  /** A page that is in sight keeps its session, also where it only listens. */
  async #renew() {
    if (!this.session || document.hidden) return undefined;
    try {
      const session = await this.api.send("GET", "/console/session");
      if (!session.principal) return this.signedOut(new Refusal(401, { reason: session.ended }));
      this.session = described(session);
      return this.changed();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return error.expired ? this.signedOut(error) : undefined; // one that was not reached is asked again
    }
  }

  /** Draw soon; however often this is called, at most some 20 times a second. */
  changed() {
    if (this.frame) return;
    this.frame = setTimeout(
      () =>
        requestAnimationFrame(() => {
          this.frame = null;
          this.#draw();
        }),
      Math.max(0, FRAME_MS - (performance.now() - this.drawn)),
    );
  }

  /** Change what the address says of this view; empty values leave it. */
  with(query, { replace = true } = {}) {
    this.go(address(this.view.page, { ...this.view.query, ...query }), { replace });
  }

  /** Watch what the page wants now. */
  refeed() {
    if (this.session) this.feed.watch({ ...this.pending.topics(), ...this.page.topics?.() });
  }

  signedIn(session, next) {
    this.session = described(session);
    this.refused = null;
    this.go(destination(next), { replace: true });
  }

  /** The session ended, by itself or by somebody: say so on the page to sign in on, once. */
  signedOut(refusal) {
    const { pathname, search } = location;
    this.session = null;
    this.refused = refusal?.status ? refusal : null;
    this.feed.end();
    this.pending.stop();
    this.go(
      address("sign-in", {
        next: this.view?.page === "sign-in" ? this.view.query.next : pathname + search,
        ended: refusal ? "1" : "",
      }),
      { replace: true },
    );
  }

  /** Sign out. What the page asks is ended first, so that nothing is refused for want of the session. */
  async signOut() {
    this.page?.leave?.();
    this.feed.end();
    const done = await this.act("Sign out", () => this.api.send("DELETE", "/console/session"));
    if (done) this.signedOut(null);
    else location.reload(); // still signed in: everything begins anew
  }

  /** Do what a click asked for, and say how it went. Returns the answer, or null when it was refused. */
  async act(what, run, done) {
    try {
      const answer = await run();
      if (done) tell(typeof done === "function" ? done(answer) : done);
      return answer;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (!error.expired) tell(`${what}: ${error.message}`, { error });
      return null;
    } finally {
      this.changed();
    }
  }

  say(text) {
    tell(text);
  }

  ask(question) {
    return ask(question);
  }

  #show(view) {
    if (!view) return this.go(address("now"), { replace: true });
    if (!this.session && view.page !== "sign-in")
      return this.go(address("sign-in", { next: location.pathname + location.search }), { replace: true });
    const Page = PAGES[view.page];
    const same = this.page instanceof Page && (this.page.key?.(view.query) ?? "") === this.pageKey;
    this.view = view;
    if (!same) {
      this.page?.leave?.();
      this.page = new Page(this, view.query);
      this.pageKey = this.page.key?.(view.query) ?? "";
    }
    this.page.enter(view.query, !same);
    document.title = `${plain(this.page.title)} \u00b7 AIOS`;
    this.refeed();
    this.#draw();
    if (!same && this.moved) document.getElementById("main")?.focus({ preventScroll: true });
    if (!same) window.scrollTo(0, 0);
    this.moved = true;
    return undefined;
  }

  #draw() {
    this.drawn = performance.now();
    const bare = this.view?.page === "sign-in";
    render(
      this.root,
      bare ? null : this.#header(),
      h(
        "main",
        { id: "main", tabindex: "-1", key: bare ? "bare" : "main", class: bare ? "bare" : this.view.page },
        this.page.view(),
      ),
      toasts(),
    );
  }

  #header() {
    return h(
      "header",
      { class: "top", key: "top" },
      h(
        "a",
        {
          class: "skip",
          href: "#main",
          onclick: (event) => {
            event.preventDefault();
            document.getElementById("main").focus();
          },
        },
        "Skip to the page",
      ),
      h("a", { class: "brand", href: address("now") }, "AIOS"),
      h(
        "nav",
        { "aria-label": "Pages" },
        NAVIGATION.map(([name, words]) =>
          h(
            "a",
            {
              href: address(name),
              key: name,
              "aria-current":
                this.view.page === name || (name === "agents" && this.view.page === "agent") ? "page" : undefined,
            },
            words,
            name === "approvals" && this.pending.count
              ? h("span", { class: "count", "aria-label": `${this.pending.count} pending` }, this.pending.count)
              : null,
          ),
        ),
      ),
      h("span", { class: "space" }),
      this.#live(),
      h("span", { class: "who", title: this.session.title }, this.session.who),
      h("button", { type: "button", class: "plain", onclick: () => help(), "aria-label": "Keyboard shortcuts" }, "?"),
      h("button", { type: "button", class: "plain", onclick: () => this.signOut() }, "Sign out"),
    );
  }

  #live() {
    const { state } = this.feed;
    const words = {
      live: "Live",
      opening: "Connecting",
      reconnecting: "Reconnecting",
      paused: "Paused",
      idle: "",
      ended: "Signed out",
    }[state];
    return h(
      "span",
      {
        class: `live ${state}`,
        role: "status",
        title: this.feed.since ? `since ${clock(this.feed.since)}` : undefined,
      },
      h("i", { "aria-hidden": "true" }),
      words,
    );
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.session) return;
    if (event.target.closest?.("input, textarea, select, dialog")) return;
    if (this.leader && performance.now() - this.leader < 1500) {
      this.leader = 0;
      const page = NAVIGATION.find(([name]) => name[0] === event.key) ?? (event.key === "u" ? ["audit"] : null);
      if (page) return void (event.preventDefault(), this.go(address(page[0])));
    }
    if (event.key === "g") this.leader = performance.now();
    else if (event.key === "?") help();
    else if (event.key === "/") {
      const search = document.querySelector("main input[type=search]");
      if (search) {
        event.preventDefault();
        search.focus();
      }
    }
  }
}

/** What the pages say of a session: who it is, in short and in full. */
function described(session) {
  const principal = session.principal ?? {};
  const kind = word(principal.kind, "PRINCIPAL_KIND") || "agent";
  const name = plain(last(principal.agent) || principal.person || kind);
  const tenant = plain(principal.tenant ?? "");
  const expires = time(session.end_time ?? session.expire_time);
  return {
    ...session,
    kind,
    name,
    tenant,
    expires,
    admin: kind === "admin",
    who: kind === "agent" ? name : `${name}${name === kind ? "" : ` (${kind})`}`,
    title: `${kind} ${name}${tenant ? ` of tenant ${tenant}` : ""}${expires ? `, signed in until ${clock(expires)}` : ""}`,
  };
}

new App(document.getElementById("app")).start();
