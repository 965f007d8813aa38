// A unified diff as rows for two columns.

/** Return rows `{left, right}` of `{number, text, change}`; `{hunk}` where lines were left out. */
export function sideBySide(unified) {
  const rows = [];
  let left = 0;
  let right = 0;
  let gone = [];
  let come = [];
  const settle = () => {
    for (let at = 0; at < Math.max(gone.length, come.length); at += 1)
      rows.push({ left: gone[at] ?? null, right: come[at] ?? null });
    gone = [];
    come = [];
  };
  let within = false;
  for (const text of String(unified ?? "")
    .replace(/\n$/, "")
    .split("\n")) {
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(text);
    if (hunk) {
      settle();
      within = true;
      left = Number(hunk[1]);
      right = Number(hunk[2]);
      rows.push({ hunk: text });
    } else if (!within || text.startsWith("\\")) continue;
    else if (text.startsWith("-")) gone.push({ number: left++, text: text.slice(1), change: "gone" });
    else if (text.startsWith("+")) come.push({ number: right++, text: text.slice(1), change: "come" });
    else {
      settle();
      rows.push({
        left: { number: left++, text: text.slice(1), change: "" },
        right: { number: right++, text: text.slice(1), change: "" },
      });
    }
  }
  settle();
  return rows;
}
