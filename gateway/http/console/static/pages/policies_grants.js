// Grants: who was given what beyond what policies permit.

import { requestId } from "../lib/api.js";
import { last, time } from "../lib/decode.js";
import { h } from "../lib/dom.js";
import { moment } from "../lib/format.js";
import { address } from "../lib/router.js";
import { line, plain } from "../lib/text.js";
import { agentLink, button, empty, table } from "../lib/widgets.js";

/** Ask for a right to give, and give it. */
export async function give(app, grantee, changed) {
  const id = requestId();
  const answer = await app.ask({
    title: "Grant a right",
    action: "Grant",
    fields: [
      { name: "grantee", label: "To", required: true, placeholder: "agents/coder", value: grantee },
      {
        name: "resource",
        label: "On",
        required: true,
        placeholder: "agents/planner/files/",
        note: "With a slash at the end: all below it.",
      },
      { name: "actions", label: "Actions", required: true, placeholder: "storage.read memory.read" },
      { name: "description", label: "Why", maxlength: 512 },
    ],
  });
  if (!answer) return;
  const grant = {
    grantee: answer.grantee,
    resource: answer.resource,
    prefix: answer.resource.endsWith("/"),
    actions: answer.actions.split(/[\s,]+/).filter(Boolean),
    description: answer.description,
  };
  if (await app.act("Grant", () => app.api.call("access/CreateGrant", { grant, request_id: id }), "Granted."))
    changed();
}

/** Grants with what takes each back. */
export function grantTable(app, grants, changed) {
  return table(
    "Grants",
    [
      {
        name: "Given to",
        cell: (each) =>
          each.grantee.startsWith("agents/")
            ? agentLink(each.grantee)
            : h("a", { href: address("policies", { tab: "groups", group: last(each.grantee) }) }, line(each.grantee)),
      },
      {
        name: "On",
        wrap: true,
        cell: (each) => [line(each.resource), each.prefix ? h("span", { class: "note" }, " and all below") : null],
      },
      {
        name: "May",
        wrap: true,
        cell: (each) => (each.actions ?? []).map((action) => h("code", { key: action }, plain(action), " ")),
      },
      { name: "Until", cell: (each) => (each.expire_time ? moment(time(each.expire_time)) : "revoked") },
      { name: "By", cell: (each) => line(each.creator ?? "") },
      { name: "Why", wrap: true, cell: (each) => line(each.description ?? "") },
      {
        name: " ",
        align: "end",
        cell: (each) =>
          button("Revoke", () => revoke(app, each, changed), { kind: "small", name: `Revoke ${plain(each.name)}` }),
      },
    ],
    grants,
    { id: (each) => each.name, none: empty("No grants", "Nobody was given anything beyond what policies permit.") },
  );
}

async function revoke(app, grant, changed) {
  const id = requestId();
  const answer = await app.ask({
    title: "Revoke this grant?",
    danger: true,
    action: "Revoke",
    body: [
      h(
        "p",
        {},
        line(grant.grantee),
        " may no longer ",
        (grant.actions ?? []).join(", "),
        " on ",
        line(grant.resource),
        ".",
      ),
    ],
  });
  if (
    answer &&
    (await app.act(
      "Revoke",
      () => app.api.call("access/RevokeGrant", { name: grant.name, request_id: id }),
      "Revoked.",
    ))
  )
    changed();
}
