// Approvals that wait for a decision, known on every page: the stream begins with all of them.

import { word } from "./decode.js";

const SETTLED_MS = 2000;

export class Pending {
  #listeners = new Set();

  constructor(app) {
    this.app = app;
    this.waiting = new Map();
    this.told = new Set();
    this.heard = null;
  }

  /** How many wait and have not run out. */
  get count() {
    const now = Date.now();
    return [...this.waiting.values()].filter((approval) => !(Date.parse(approval.expire_time) < now)).length;
  }

  topics() {
    return {
      approvals: {
        method: "access/WatchApprovals",
        request: {},
        take: this.#take,
        restart: this.#restart,
        failed: this.#failed,
      },
    };
  }

  /** Hear of every approval that is asked for or decided. Returns what stops that. */
  listen(heard) {
    this.#listeners.add(heard);
    return () => this.#listeners.delete(heard);
  }

  stop() {
    clearTimeout(this.timer);
    this.waiting.clear();
    this.error = null;
  }

  // A stream that was opened anew tells all of them again. What it does not is gone, but not before it had the time to.
  #restart = () => {
    this.error = null;
    this.heard = Date.now();
    this.told.clear();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      for (const name of this.waiting.keys()) if (!this.told.has(name)) this.waiting.delete(name);
      this.app.changed();
    }, SETTLED_MS);
  };

  #failed = (refusal) => {
    this.error = refusal;
  };

  #take = ({ approval }) => {
    if (!approval?.name) return;
    this.heard = Date.now();
    this.told.add(approval.name);
    if (word(approval.state, "APPROVAL_STATE") === "pending") this.waiting.set(approval.name, approval);
    else this.waiting.delete(approval.name);
    for (const heard of this.#listeners) heard(approval);
    this.app.changed();
  };
}
