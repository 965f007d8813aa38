// An agent's tokens as they come, with the places where it was stopped and went on.

import { count, last, seconds, sequence, word } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { counted, number, span } from "../lib/format.js";
import { address } from "../lib/router.js";
import { Schedule } from "../lib/schedule.js";
import { line, marked, plain } from "../lib/text.js";
import { badge, button, empty, facts, panel, problem } from "../lib/widgets.js";

const LONGEST = 200_000;
const TURN_MS = 2000;
const REASONS = { preempted: "stopped for another call", "backend lost": "its server was lost" };

/** A generation as told so far: pieces of text and what happened between them. */
export class Generation {
  constructor() {
    this.reset();
  }

  reset() {
    Object.assign(this, {
      pieces: [],
      tokens: 0,
      cut: 0,
      length: 0,
      state: "waiting",
      finished: null,
      sequence: 0n,
      wait: null,
    });
  }

  /** Take one event; what came already is passed over. */
  take(event) {
    const number = sequence(event.sequence);
    if (event.delta) {
      if (number !== 0n && number <= this.sequence) return;
      this.sequence = number;
      this.#text(event.delta.text ?? "");
      this.tokens += count(event.delta.token_count) || 1;
      this.state = "running";
    } else if (event.admitted) Object.assign(this, { wait: seconds(event.admitted.wait), state: "running" });
    else if (event.suspended)
      this.#mark(REASONS[word(event.suspended.reason, "SUSPEND_REASON")] ?? "stopped", "waiting");
    else if (event.resumed) this.#mark(`went on after ${span(seconds(event.resumed.wait))}`, "running");
    else if (event.finished) Object.assign(this, { finished: event.finished, state: "done" });
  }

  #mark(stop, state) {
    this.pieces.push({ stop });
    this.state = state;
  }

  #text(text) {
    const end = this.pieces.at(-1);
    if (end && end.text !== undefined)
      end.text += text; // a character may come in two pieces, and marks need them whole
    else this.pieces.push({ text });
    this.length += text.length;
    while (this.length > LONGEST && this.pieces.length) {
      const first = this.pieces[0];
      const over = Math.min(first.text?.length ?? 0, this.length - LONGEST);
      this.cut += over;
      this.length -= over;
      if (over === (first.text?.length ?? 0)) this.pieces.shift();
      else first.text = first.text.slice(over);
    }
  }
}

export class LiveTab {
  constructor(app, page) {
    Object.assign(this, { app, page });
    this.schedule = new Schedule();
    this.generation = new Generation();
    this.followed = "";
    this.turned = 0;
  }

  enter(query) {
    if (query.generation !== this.query?.generation) {
      this.generation.reset();
      this.error = null;
      this.ended = false;
    }
    this.query = query;
  }

  get name() {
    const id = this.query.generation || this.followed;
    return id ? `${this.page.name}/generations/${id}` : "";
  }

  topics() {
    const schedule = {
      method: "scheduler/WatchSchedule",
      request: { parent: this.page.name, initial: true },
      take: this.#event,
    };
    if (!this.name || this.ended) return { schedule };
    return {
      schedule,
      generation: {
        method: "inference/WatchGeneration",
        request: { name: this.name },
        take: this.#take,
        restart: this.#restart,
        failed: this.#failed,
        ends: true,
      },
    };
  }

  // Asked anew the stream begins with all of it, so what was shown makes room.
  #restart = () => {
    this.generation.reset();
  };

  #take = ({ event }) => {
    this.generation.take(event ?? {});
    this.heard = Date.now();
    this.error = null;
  };

  #event = (message) => {
    this.schedule.apply(message);
    if (!this.query.generation) this.#follow();
  };

  /** Without one in the address, what runs is followed: the next one once that has ended. */
  #follow() {
    const ended = !this.followed || this.generation.finished || this.error;
    const next = this.atWork.find((call) => last(call.name) !== this.followed);
    const idle = !this.generation.pieces.length && next?.state === "running"; // what waits gives way to what runs
    if ((!ended && !idle) || !next || Date.now() - this.turned < TURN_MS) return;
    Object.assign(this, { followed: last(next.name), turned: Date.now(), error: null });
    this.generation.reset();
    setTimeout(() => this.app.page === this.page && this.page.tab === this && this.app.refeed(), 0);
  }

  #failed = (refusal) => {
    this.error = refusal;
  };

  get atWork() {
    return [...this.schedule.calls.values()]
      .filter((call) => call.kind === "inference" && call.agent === this.page.id)
      .sort((a, b) => (a.state === b.state ? a.arrived - b.arrived : a.state === "waiting" ? 1 : -1));
  }

  view() {
    const { generation } = this;
    const { atWork } = this;
    const running =
      this.schedule.calls.has(this.name) || this.schedule.calls.has(this.name.replace("/generations/", "/calls/"));
    return h(
      "div",
      { class: "columns side", key: "columns" },
      panel(
        "At work",
        { flush: true, note: counted(atWork.length, "generation") },
        atWork.length
          ? h(
              "ul",
              { class: "list" },
              atWork.map((call) =>
                h(
                  "li",
                  { key: call.name },
                  h(
                    "a",
                    {
                      class: "entry",
                      href: address("agent", { id: this.page.id, tab: "live", generation: last(call.name) }),
                      "aria-current": call.name.endsWith(`/${last(this.name)}`) && this.name ? "true" : undefined,
                    },
                    h(
                      "span",
                      { class: "row" },
                      h("code", {}, plain(last(call.name)).slice(0, 20)),
                      h("span", { class: "space" }),
                      badge(call.state),
                    ),
                    h(
                      "span",
                      { class: "note" },
                      line(call.model || ""),
                      ` ${number(call.tokens)} tokens, preempted ${number(call.preemptions)} times`,
                    ),
                  ),
                ),
              ),
            )
          : empty("Nothing is generated now", "Its next generation shows here at once."),
      ),
      this.name
        ? this.#panel(generation, running)
        : panel(
            "Nothing to follow yet",
            {},
            h("p", { class: "quiet" }, "The next generation is followed by itself, token by token."),
          ),
    );
  }

  #panel(generation, running) {
    const { finished } = generation;
    return panel(
      plain(last(this.name)),
      {
        key: this.name,
        asOf: this.heard ? this.app.feed.asOf : null,
        note: this.query.generation ? null : "followed by itself",
        actions: running ? [button("Cancel", () => this.#cancel(), { kind: "small warn" })] : [],
      },
      h(
        "div",
        { class: "stack" },
        this.error
          ? this.error.status === 404
            ? h("p", { class: "quiet", key: "gone" }, "It is no longer kept.")
            : problem(this.error)
          : null,
        facts([
          ["State", badge(generation.state)],
          ["Waited first", span(generation.wait)],
          ["Tokens", number(generation.tokens)],
          ["Ended by", finished ? word(finished.reason, "FINISH_REASON") : null],
          [
            "Prompt",
            finished?.usage
              ? `${number(count(finished.usage.prompt_tokens))} tokens, ${number(count(finished.usage.cached_prompt_tokens))} cached`
              : null,
          ],
          ["Ran", finished?.timings ? span(seconds(finished.timings.run)) : null],
          ["Preempted", finished?.timings ? number(count(finished.timings.preemption_count)) : null],
        ]),
        h(
          "pre",
          { class: "block stream", dir: "auto", tabindex: "0", "aria-label": "What it generates", key: "text" },
          generation.cut
            ? h("em", { class: "quiet" }, `${number(generation.cut)} characters before this are not shown\n`)
            : null,
          generation.pieces.map((piece, place) =>
            piece.stop
              ? h("span", { class: "stop", key: `s${place}` }, piece.stop)
              : h("span", { key: `p${place}` }, marked(piece.text, { lines: true })),
          ),
          !generation.pieces.length && !finished ? h("span", { class: "quiet" }, "no token yet") : null,
        ),
      ),
    );
  }

  async #cancel() {
    const answer = await this.app.ask({
      title: "Cancel this generation?",
      danger: true,
      action: "Cancel it",
      body: [
        h("p", {}, h("code", {}, plain(last(this.name)))),
        h("p", {}, "Whoever waits for it gets an error; what it produced so far is kept."),
      ],
    });
    if (answer)
      await this.app.act(
        "Cancel",
        () => this.app.api.call("inference/CancelGeneration", { name: this.name }),
        (told) => (told.cancelled ? "It is cancelled." : "It had ended already."),
      );
  }
}
