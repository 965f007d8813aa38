// What a page asked for: the value, when it was told, or why it was not.

/** One question, asked once or every so often; never twice at a time. */
export class Loaded {
  #ask;
  #changed;
  #abort = null;
  #timer = null;
  #every = 0;

  /** `ask(signal)` answers; `changed()` is called after each answer. */
  constructor(ask, changed, { every = 0 } = {}) {
    Object.assign(this, { value: null, asOf: null, error: null, busy: false });
    this.#ask = ask;
    this.#changed = changed;
    this.#every = every;
  }

  /** Ask now, in place of what is under way. */
  async load() {
    this.stop();
    const abort = new AbortController();
    this.#abort = abort;
    this.busy = true;
    this.#changed();
    try {
      const value = await this.#ask(abort.signal);
      if (abort.signal.aborted) return;
      Object.assign(this, { value, asOf: Date.now(), error: null });
    } catch (error) {
      if (abort.signal.aborted) return;
      if (error?.name !== "Refusal") throw error;
      this.error = error;
    } finally {
      if (this.#abort === abort) this.#settle();
    }
  }

  #settle() {
    this.#abort = null;
    this.busy = false;
    const ended = this.error?.expired || this.error?.missing || this.error?.status === 403;
    if (this.#every && !ended) this.#timer = setTimeout(() => this.load(), this.#every * 1000 * (this.error ? 3 : 1));
    this.#changed();
  }

  /** Stop asking; what is known stays. */
  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#abort?.abort();
    this.#abort = null;
    this.busy = false;
  }
}
