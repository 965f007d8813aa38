// Virtual rows: of thousands of rows of one height only those in view are elements. Keys move the current row.

import { h } from "./dom.js";

const SPARE = 6;

/** Return which rows are in view: `{first, last}`, the last one not included. */
export function inView(scrolled, height, row, total) {
  const first = Math.max(0, Math.min(Math.floor(scrolled / row) - SPARE, total - 1));
  return { first: total ? first : 0, last: Math.min(total, Math.ceil((scrolled + height) / row) + SPARE) };
}

/** Return the row that a key leads to from `at`; null for a key that moves nothing. */
export function moved(key, at, total, page) {
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: total - 1 }[
    key
  ];
  return to === undefined ? null : Math.max(0, Math.min(total - 1, to));
}

/**
 * A grid that draws the rows in view.
 *
 * `columns` are `{name, label, width, cell(item), align}`; `items` all rows; `id(item)` a row's key. `current` is the
 * key of the row that keys act on. `level(item)` and `expanded(item)` make it a tree.
 */
export class Rows {
  constructor({
    label,
    columns,
    id,
    row = 30,
    level,
    expanded,
    pick = () => undefined,
    open = () => undefined,
    keys = {},
    changed,
  }) {
    Object.assign(this, { label, columns, id, row, level, expanded, pick, open, keys, changed });
    this.items = [];
    this.current = null;
    this.prefix = `g${(Rows.made = (Rows.made ?? 0) + 1)}-`;
    this.scrolled = 0;
    this.height = 600;
  }

  /** Describe the grid with these rows. */
  view(items, { busy = false, empty = null } = {}) {
    this.items = items;
    const { first, last } = inView(this.scrolled, this.height, this.row, items.length);
    const tree = Boolean(this.level);
    const place = this.place();
    const active = place >= first && place < last && place !== -1 ? this.prefix + this.current : undefined;
    const template = this.columns.map((each) => each.width).join(" ");
    return h(
      "div",
      {
        class: "grid",
        role: tree ? "treegrid" : "grid",
        "aria-label": this.label,
        "aria-rowcount": items.length + 1,
        "aria-colcount": this.columns.length,
        "aria-busy": busy ? "true" : undefined,
        "aria-activedescendant": active,
        tabindex: "0",
        style: { "--columns": template },
        onkeydown: this.#key,
        onscroll: this.#scroll,
        mounted: this.#mounted,
        removed: this.#removed,
      },
      h(
        "div",
        { class: "head", role: "row", "aria-rowindex": 1 },
        this.columns.map((each) => h("div", { role: "columnheader", key: each.name, class: each.align }, each.label)),
      ),
      h(
        "div",
        { class: "rows", role: "rowgroup", style: { height: `${items.length * this.row}px` } },
        items.slice(first, last).map((item, offset) => this.#line(item, first + offset)),
      ),
      items.length === 0 && empty
        ? h("div", { class: "empty", role: "row" }, h("div", { role: "gridcell" }, empty))
        : null,
    );
  }

  #line(item, place) {
    const id = this.id(item);
    const open = this.expanded?.(item);
    return h(
      "div",
      {
        role: "row",
        key: id,
        id: this.prefix + id,
        class: id === this.current ? "line current" : "line",
        "aria-rowindex": place + 2,
        "aria-selected": id === this.current ? "true" : "false",
        "aria-level": this.level ? this.level(item) + 1 : undefined,
        "aria-expanded": open === undefined || open === null ? undefined : String(open),
        style: { transform: `translateY(${place * this.row}px)` },
        onclick: this.#click,
        ondblclick: this.#click,
        "data-id": id,
      },
      this.columns.map((each) =>
        h("div", { role: "gridcell", key: each.name, class: each.align ?? "" }, each.cell(item)),
      ),
    );
  }

  /** The place of the current row; -1 where it is not there. */
  place() {
    if (this.current === null) return -1;
    if (this.items[this.remembered] && this.id(this.items[this.remembered]) === this.current) return this.remembered;
    this.remembered = this.items.findIndex((item) => this.id(item) === this.current);
    return this.remembered;
  }

  /** The current row's item. */
  get item() {
    return this.items[this.place()] ?? null;
  }

  #select(place) {
    const item = this.items[place];
    if (!item) return;
    this.current = this.id(item);
    this.remembered = place;
    const top = place * this.row;
    const visible = this.height - this.row;
    if (this.element && top < this.element.scrollTop) this.element.scrollTop = top;
    else if (this.element && top + this.row > this.element.scrollTop + visible)
      this.element.scrollTop = top + this.row - visible;
    this.pick(item);
    this.changed();
  }

  #key = (event) => {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.height / this.row) - 2);
    const to = moved(event.key, this.place(), this.items.length, page);
    const item = this.item;
    if (to !== null) this.#select(to);
    else if (item && event.key === "Enter") this.open(item);
    else if (item && this.keys[event.key]) this.keys[event.key](item);
    else return;
    event.preventDefault();
  };

  #click = (event) => {
    const id = event.currentTarget.dataset.id;
    const place = this.items.findIndex((item) => String(this.id(item)) === id);
    if (event.type === "dblclick") this.open(this.items[place]);
    else if (!event.target.closest("a, button, input")) this.#select(place);
  };

  #scroll = (event) => {
    if (Math.abs(event.currentTarget.scrollTop - this.scrolled) < this.row) return;
    this.scrolled = event.currentTarget.scrollTop;
    this.changed();
  };

  #mounted = (element) => {
    this.element = element;
    this.observer = new ResizeObserver(([entry]) => {
      const { height } = entry.contentRect;
      if (height > 0 && height !== this.height) {
        this.height = height;
        this.changed();
      }
    });
    this.observer.observe(element);
  };

  #removed = () => {
    this.observer?.disconnect();
    this.element = null;
    this.scrolled = 0;
  };
}
