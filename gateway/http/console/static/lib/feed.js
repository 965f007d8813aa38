// The one stream of a tab: all that its page watches. It is closed while the tab is hidden, and opened again when it is cut.

import { Refusal } from "./api.js";
import { read } from "./sse.js";

const SOONEST = 0.5;
const LATEST = 15;
const SILENCE_MS = 45_000;
const PAUSE = 3;
const PASSING = new Set([429, 500, 502, 503, 504]);

/**
 * Watches topics: `{name: {method, request, take(message), restart(), failed(refusal), ends}}`. What `ends` by itself is
 * not asked for again when it does.
 *
 * `state` is one of "idle", "opening", "live", "reconnecting", "paused", "ended".
 */
export class Feed {
  #api;
  #changed;
  #topics = new Map();
  #abort = null;
  #tries = 0;
  #timer = null;
  #silence = null;
  #later = null;

  constructor(api, changed, { document: doc = document, random = Math.random } = {}) {
    this.#api = api;
    this.#changed = changed;
    this.random = random;
    this.doc = doc;
    this.state = "idle";
    this.since = null;
    this.until = null;
    doc.addEventListener("visibilitychange", () => this.#open());
  }

  /** Watch these topics instead of those before. The same ones go on as they are. */
  watch(topics) {
    const names = Object.keys(topics);
    const same =
      names.length === this.#topics.size &&
      names.every(
        (name) => JSON.stringify(asked(topics[name])) === JSON.stringify(asked(this.#topics.get(name) ?? {})),
      );
    const before = this.#topics;
    this.#topics = new Map(Object.entries(topics));
    if (
      same &&
      names.every((name) => before.get(name).take === topics[name].take) &&
      ["live", "opening"].includes(this.state)
    )
      return;
    this.#tries = 0;
    this.#open();
  }

  /** Begin anew: a topic told that messages were lost. */
  restart() {
    if (this.state === "live") this.#again(0);
  }

  /** A topic ended that others would not have: open all of it again, after a while. */
  #soon(pause) {
    clearTimeout(this.#later);
    const abort = this.#abort;
    this.#later = setTimeout(() => this.#abort === abort && this.#again(0), 1000 * (pause ?? PAUSE));
  }

  /** Stop for good, as at the end of a session. */
  end() {
    this.#topics = new Map();
    this.#close("ended");
  }

  /** When what the stream tells was last known to be so: now while it is open; null before it ever was. */
  get asOf() {
    return this.state === "live" ? Date.now() : this.until;
  }

  #tell(state) {
    if (state === this.state) return;
    if (this.state === "live") this.until = Date.now();
    this.state = state;
    this.since = Date.now();
    this.#changed();
  }

  #close(state) {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    clearTimeout(this.#later);
    this.#abort?.abort();
    this.#abort = null;
    this.#tell(state);
  }

  #open() {
    this.#close(
      this.#topics.size === 0
        ? this.state === "ended"
          ? "ended"
          : "idle"
        : this.doc.hidden
          ? "paused"
          : this.#tries
            ? "reconnecting"
            : "opening",
    );
    if (this.#topics.size === 0 || this.doc.hidden) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.#follow(abort).then(
      (pause) => !abort.signal.aborted && this.#again(pause),
      (error) => {
        if (abort.signal.aborted) return;
        if (!(error instanceof Refusal) && !(error instanceof TypeError) && error?.name !== "RangeError") throw error;
        if (error.expired) this.#close("ended");
        else this.#again(error.retrySeconds);
      },
    );
  }

  #again(pause) {
    this.#tries += 1;
    this.#close("reconnecting");
    const wait = pause ?? Math.min(LATEST, SOONEST * 2 ** (this.#tries - 1)) * (0.75 + this.random() / 2);
    this.#timer = setTimeout(() => this.#open(), wait * 1000);
  }

  async #follow(abort) {
    const topics = [...this.#topics].map(([name, topic]) => ({ name, ...asked(topic) }));
    const response = await this.#api.open("POST", "/console/stream", { topics }, { signal: abort.signal });
    for (const topic of this.#topics.values()) topic.restart?.();
    this.#heard(abort);
    this.#tell("live");
    for await (const event of read(response)) {
      if (abort.signal.aborted) return null;
      this.#heard(abort);
      const pause = this.#take(event);
      if (pause !== undefined) return pause;
    }
    return null;
  }

  /** A stream that says nothing, not even that it is alive, is dead: some proxies never tell. */
  #heard(abort) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      if (this.#abort === abort) this.#again(0);
    }, SILENCE_MS);
  }

  #take({ event, data }) {
    const told = data ? JSON.parse(data) : null;
    if (event === "batch") {
      this.#tries = 0;
      for (const [name, messages] of told) for (const message of messages) this.#topics.get(name)?.take(message);
      this.#changed();
    } else if (event === "error") {
      const refusal = new Refusal(told.status ?? 500, told);
      this.#topics.get(told.topic)?.failed?.(refusal);
      if (PASSING.has(refusal.status)) this.#soon(refusal.retrySeconds);
      this.#changed();
    } else if (event === "finished" && !this.#topics.get(told.topic)?.ends) this.#soon(null);
    else if (event === "end") return told?.retry_seconds ?? null;
    return undefined;
  }
}

const asked = ({ method, request }) => ({ method, request });
