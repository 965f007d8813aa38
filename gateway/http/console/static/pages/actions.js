// What is done to agents and calls, each asked about first where it cannot be taken back.

import { count, last } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { counted } from "../lib/format.js";
import { line, plain } from "../lib/text.js";

const CLASSES = ["realtime", "interactive", "normal", "batch", "idle"];
const who = (agent) => [
  line(agent.label || agent.id),
  agent.label ? h("span", { class: "quiet" }, ` (${agent.id})`) : null,
];

export async function cancelCall(app, name) {
  const answer = await app.ask({
    title: "Cancel this call?",
    danger: true,
    action: "Cancel the call",
    body: [
      h("p", {}, h("code", {}, plain(name))),
      h("p", {}, "It ends with an error where its agent waits for it; what it produced so far is kept."),
    ],
  });
  if (!answer) return;
  const cancel = async () => {
    try {
      return await app.api.call("scheduler/CancelSyscall", { name });
    } catch (error) {
      if (error.status === 404) return { cancelled: false }; // it ended while somebody read the question
      throw error;
    }
  };
  await app.act("Cancel", cancel, (told) => `${last(name)} ${told.cancelled ? "is cancelled" : "had ended already"}.`);
}

export async function suspend(app, agent) {
  const answer = await app.ask({
    title: "Suspend this agent?",
    action: "Suspend",
    body: [
      h("p", {}, who(agent)),
      h("p", {}, "Its calls stop at their next token, and new ones are refused until it is resumed."),
    ],
    fields: [{ name: "reason", label: "Reason", maxlength: 512 }],
  });
  if (answer)
    await app.act(
      "Suspend",
      () => app.api.call("agent/SuspendAgent", { name: agent.name, reason: answer.reason }),
      `${agent.id} is suspended.`,
    );
}

export async function resume(app, agent) {
  await app.act("Resume", () => app.api.call("agent/ResumeAgent", { name: agent.name }), `${agent.id} goes on.`);
}

/** Kill; `living` is how many that ends, it included. */
export async function kill(app, agent, living) {
  const many =
    living > 1
      ? [h("strong", {}, counted(living, "agent")), ` end: this one and ${counted(living - 1, "agent")} below it.`]
      : ["It has no living children."];
  const answer = await app.ask({
    title: "Kill this agent?",
    danger: true,
    action: living > 1 ? `Kill ${counted(living, "agent")}` : "Kill",
    body: [
      h("p", {}, who(agent)),
      h("p", {}, many),
      h("p", {}, "This cannot be taken back. Their calls end at once, their keys are void; notes and files stay."),
    ],
    fields: [{ name: "reason", label: "Reason", maxlength: 512 }],
  });
  if (answer)
    await app.act(
      "Kill",
      () => app.api.call("agent/KillAgent", { name: agent.name, reason: answer.reason }),
      (told) => `${counted(count(told.killed_count), "agent")} killed.`,
    );
}

/** Change class, weight and priority; refused when somebody else changed the agent meanwhile. */
export async function nice(app, agent) {
  const answer = await app.ask({
    title: "How this agent is served",
    action: "Change",
    body: [h("p", {}, who(agent)), h("p", {}, "For calls that it makes from now on, within its caps.")],
    fields: [
      { name: "class", label: "Class", options: CLASSES.map((name) => [name, name]), value: agent.class },
      { name: "weight", label: "Weight", type: "number", min: 1, max: 1000, value: String(agent.weight) },
      {
        name: "priority",
        label: "Priority",
        type: "number",
        min: -20,
        max: 19,
        value: String(agent.priority),
        note: "-20 is served first, 19 last.",
      },
    ],
  });
  if (!answer) return;
  const hints = {
    ...agent.hints,
    scheduling_class: `SCHEDULING_CLASS_${answer.class.toUpperCase()}`,
    weight: Number(answer.weight),
    priority: Number(answer.priority),
  };
  await app.act(
    "Change",
    () =>
      app.api.call("agent/UpdateAgent", { agent: { name: agent.name, etag: agent.etag, hints }, update_mask: "hints" }),
    `${agent.id}: class ${answer.class}, weight ${answer.weight}, priority ${answer.priority}.`,
  );
}

/** Say that somebody has looked at what an agent read, so that it counts as trusted again. */
export async function clearUntrusted(app, agent) {
  const answer = await app.ask({
    title: "Clear the mark of this agent?",
    action: "Clear",
    body: [
      h("p", {}, who(agent)),
      h("p", {}, "It read what nobody vouches for: ", line(agent.untrustedSource), "."),
      h("p", {}, "Cleared, policies treat it as if it had not."),
    ],
    fields: [{ name: "reason", label: "Reason", maxlength: 256 }],
  });
  if (answer)
    await app.act(
      "Clear",
      () => app.api.call("agent/ClearUntrusted", { name: agent.name, reason: answer.reason }),
      `${agent.id} is not marked any more.`,
    );
}
