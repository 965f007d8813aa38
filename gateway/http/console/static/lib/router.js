// Views and their addresses. All that a view shows follows from its address, so it can be sent to somebody.

export const ROOT = "/console/";
export const PAGES = ["now", "agents", "agent", "approvals", "policies", "tools", "audit", "sign-in"];
const SHORTEST = new Set(["now"]);

/** Return the view at an address: `{page, query}`, or null where there is none. */
export function parse(path, search = "") {
  if (!path.startsWith(ROOT)) return null;
  const page = path.slice(ROOT.length).replace(/\/$/, "") || "now";
  if (!PAGES.includes(page)) return null;
  const query = {};
  for (const [name, value] of new URLSearchParams(search)) if (!(name in query)) query[name] = value;
  return { page, query };
}

/** Return the address of a view. Empty values are left out, names are in order: one view has one address. */
export function address(page, query = {}) {
  const pairs = Object.entries(query).filter(
    ([, value]) => value !== undefined && value !== null && value !== "" && value !== false,
  );
  const search = new URLSearchParams(
    pairs.map(([name, value]) => [name, String(value)]).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  const text = search.toString();
  return ROOT + (SHORTEST.has(page) ? "" : page) + (text ? `?${text}` : "");
}

/** Return where to go after signing in: an address of this console, never another place. */
export function destination(next) {
  if (typeof next !== "string" || !next.startsWith(ROOT)) return ROOT;
  const [path, search = ""] = next.split(/\?(.*)/s);
  const view = parse(path, search);
  return view && view.page !== "sign-in" ? address(view.page, view.query) : ROOT;
}

/** Follow the address bar. `changed(view)` is called for each new view, the first included. */
export function follow(changed, { window: win = window } = {}) {
  const look = () => changed(parse(win.location.pathname, win.location.search));
  win.addEventListener("popstate", look);
  win.document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (
      !link ||
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const target = new URL(link.href);
    if (target.origin !== win.location.origin || link.target || link.hasAttribute("download")) return;
    if (!parse(target.pathname, target.search)) return;
    event.preventDefault();
    go(target.pathname + target.search);
  });
  const go = (to, { replace = false } = {}) => {
    win.history[replace ? "replaceState" : "pushState"](null, "", to);
    look();
  };
  queueMicrotask(look); // once the caller has `go`
  return go;
}
