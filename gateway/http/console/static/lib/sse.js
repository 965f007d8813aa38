// Server-sent events out of a byte stream, read by fetch: it sees a refusal, and stops when it is told to.

const LONGEST = 8 * 1024 * 1024;

/** Splits text that comes in any pieces into events `{event, data, id}`. */
export class Events {
  #rest = "";

  /** Take a piece; return the events that it completed. Throws RangeError when one grows beyond all bounds. */
  push(piece) {
    this.#rest = (this.#rest + piece).replaceAll("\r\n", "\n");
    const blocks = this.#rest.split("\n\n");
    this.#rest = blocks.pop();
    if (this.#rest.length > LONGEST) throw new RangeError("an event is too long");
    return blocks.map(event).filter((each) => each !== null);
  }
}

function event(block) {
  const found = { event: "message", data: [], id: "" };
  for (const line of block.split("\n")) {
    if (line.startsWith(":")) continue;
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") found.data.push(value);
    else if (field === "event" || field === "id") found[field] = value;
  }
  return found.data.length || found.event !== "message" ? { ...found, data: found.data.join("\n") } : null;
}

/** Yield the events of a response. Ends when the server ends the stream. */
export async function* read(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const events = new Events();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* events.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    await reader.cancel().catch(() => undefined); // it may be cut already, which is as good
  }
}
