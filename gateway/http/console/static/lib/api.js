// Calls of the contract as JSON. One click is one request_id, kept over retries; only what may be asked twice is.

const PACKAGES = {
  access: "AccessService",
  agent: "AgentService",
  context: "ContextService",
  inference: "InferenceService",
  memory: "MemoryService",
  scheduler: "SchedulerService",
  storage: "StorageService",
  tool: "ToolService",
};
const READS = /^(?:Get|List|Query|Verify|Validate|Explain|Search|Diff|Stat|Who|May|Try)/;
const PASSING = new Set([429, 502, 503, 504]);
const ATTEMPTS = 3;
const LONGEST_PAUSE = 5;

/** A refusal as the console's server tells it. `status` 0: the server was not reached. */
export class Refusal extends Error {
  constructor(status, body = {}) {
    super(typeof body.message === "string" && body.message ? body.message : `HTTP ${status}`);
    this.name = "Refusal";
    this.status = status;
    this.code = body.code ?? "";
    this.reason = body.reason ?? "";
    this.metadata = body.metadata ?? {};
    this.violations = body.violations ?? [];
    this.retrySeconds = body.retry_seconds ?? null;
    this.hint = body.hint ?? "";
  }

  /** Whether the session has ended: nothing may be asked until somebody signs in. */
  get expired() {
    return this.status === 401;
  }

  /** Whether the kernel at hand has no such call. */
  get missing() {
    return this.reason === "UNKNOWN_METHOD" || this.status === 501;
  }
}

export class Api {
  #fetch;
  #sleep;
  #expired;
  #over = false;

  constructor({ fetch: ask = (...all) => fetch(...all), sleep = pause, expired = () => undefined } = {}) {
    this.#fetch = ask;
    this.#sleep = sleep;
    this.#expired = expired;
  }

  /** Ask `service/Method`, such as "scheduler/GetQueue". A write that may be sent again carries its `request_id`. */
  async call(method, body = {}, { signal } = {}) {
    const again = READS.test(method.split("/")[1]) || Boolean(body.request_id);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.send("POST", `/console/api/${full(method)}`, body, { signal });
      } catch (error) {
        const passing = error instanceof Refusal && (error.status === 0 || PASSING.has(error.status));
        if (!passing || !again || attempt === ATTEMPTS || signal?.aborted) throw error;
        await this.#sleep(Math.min(error.retrySeconds ?? 0.3 * 2 ** attempt, LONGEST_PAUSE), signal);
      }
    }
  }

  /** Ask for all pages of a list, up to `most` entries. Return `{items, more}`. */
  async all(method, body, field, { most = 1000, size = 500, signal } = {}) {
    const items = [];
    let token = "";
    do {
      const answer = await this.call(
        method,
        { ...body, page_size: Math.min(size, most), page_token: token },
        { signal },
      );
      items.push(...(answer[field] ?? []));
      token = answer.next_page_token ?? "";
    } while (token && items.length < most);
    return { items, more: Boolean(token) };
  }

  /** Send one request. Throws Refusal; an abort passes through. */
  async send(verb, path, body, { signal } = {}) {
    const response = await this.open(verb, path, body, { signal });
    try {
      return await response.json();
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Refusal(0, { message: "the answer was cut off" });
    }
  }

  /** Send one request and return the response as it begins. Throws Refusal. */
  async open(verb, path, body, { signal } = {}) {
    if (this.#over && path !== "/console/session")
      throw new Refusal(401, { reason: "SESSION_ENDED", message: "the session has ended" });
    let response;
    try {
      response = await this.#fetch(path, {
        method: verb,
        signal,
        credentials: "same-origin",
        cache: "no-store",
        headers: { "content-type": "application/json", "x-aios-console": "1" },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Refusal(0, { reason: "UNREACHABLE", message: "the console's server cannot be reached" });
    }
    if (response.ok) {
      if (path === "/console/session") this.#over = false;
      return response;
    }
    const refusal = new Refusal(response.status, await told(response));
    if (refusal.expired && path !== "/console/session" && !this.#over) {
      this.#over = true; // what is asked from now on is refused here: a forgotten tab does not knock all night
      this.#expired(refusal);
    }
    throw refusal;
  }
}

async function told(response) {
  try {
    const body = await response.json();
    return body !== null && typeof body === "object" ? body : {};
  } catch {
    return {};
  }
}

/** Return a method's full name: "scheduler/GetQueue" is "aios.api.scheduler.v1.SchedulerService/GetQueue". */
export function full(method) {
  const [service, name] = method.split("/");
  if (!(service in PACKAGES) || !name) throw new TypeError(`"${method}" is no method`);
  return `aios.api.${service}.v1.${PACKAGES[service]}/${name}`;
}

/** Return an id for one click. */
export const requestId = () => crypto.randomUUID();

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
