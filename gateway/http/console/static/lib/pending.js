// Approvals that wait for a decision, known on every page: the stream begins with all of them.

import { word } from "./decode.js";

export class Pending {
  #listeners = new Set();

  constructor(app) {
    this.app = app;
    this.waiting = new Map();
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
    this.waiting.clear();
    this.error = null;
  }

  #restart = () => {
    this.waiting.clear();
    this.error = null;
  };

  #failed = (refusal) => {
    this.error = refusal;
  };

  #take = ({ approval }) => {
    if (!approval?.name) return;
    if (word(approval.state, "APPROVAL_STATE") === "pending") this.waiting.set(approval.name, approval);
    else this.waiting.delete(approval.name);
    for (const heard of this.#listeners) heard(approval);
    this.app.changed();
  };
}
