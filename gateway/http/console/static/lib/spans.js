// The canvas of a timeline with its life: drawn at most 20 times a second, not while hidden, and a table that says the same.

import { h } from "./dom.js";
import { draw, hit } from "./timeline.js";
import { plain } from "./marks.js";

const FRAME_MS = 50;
const COLOURS = ["run", "tool", "wait", "stopped", "failed", "line", "quiet", "ink"];

export class Spans {
  /** `picture()` returns what `draw` takes; `told(bar)` what hovering says; `open(bar)` follows a click. */
  constructor({ label, height = 260, picture, told, open, live = true }) {
    Object.assign(this, { label, height, picture, told, open, live, hover: null, paused: false });
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
  }

  view(table) {
    return h(
      "div",
      { class: "spans", key: this.label },
      h(
        "canvas",
        {
          class: "timeline",
          style: { height: `${this.height}px` },
          "aria-hidden": "true",
          mounted: this.#mounted,
          removed: this.#removed,
          onmousemove: this.#move,
          onmouseleave: this.#leave,
          onclick: this.#click,
        },
        [],
      ),
      h("div", {
        class: "tip",
        opaque: true,
        hidden: true,
        mounted: (element) => {
          this.tip = element;
        },
      }),
      h("details", { class: "twin" }, h("summary", {}, "As a table"), table),
    );
  }

  #mounted = (canvas) => {
    this.canvas = canvas;
    this.#colours();
    this.scheme.addEventListener("change", this.#colours);
    this.#frame();
  };

  #removed = () => {
    this.canvas = null;
    this.scheme.removeEventListener("change", this.#colours);
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
  };

  #colours = () => {
    const style = getComputedStyle(this.canvas);
    this.theme = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.theme.font = `11px ${style.fontFamily}`;
  };

  // An animation frame never comes while the tab is hidden, so nothing is drawn then.
  #frame = () => {
    if (!this.canvas) return;
    this.frame = requestAnimationFrame(() => {
      this.redraw();
      if (this.live) this.timer = setTimeout(this.#frame, FRAME_MS);
    });
  };

  redraw() {
    if (!this.canvas || this.canvas.clientWidth === 0) return;
    const picture = this.picture();
    if (picture) this.boxes = draw(this.canvas, { theme: this.theme, lit: this.hover?.agent ?? null, ...picture });
  }

  #move = (event) => {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    this.hover = hit(this.boxes ?? [], x, y);
    this.canvas.classList.toggle("over", Boolean(this.hover));
    this.tip.hidden = !this.hover;
    if (this.hover) {
      this.tip.textContent = plain(this.told(this.hover), { lines: true });
      this.tip.style.setProperty("left", `${Math.min(x + 12, box.width - 280)}px`);
      this.tip.style.setProperty("top", `${y + 16}px`);
    }
    if (!this.live) this.redraw();
  };

  #leave = () => {
    this.hover = null;
    if (this.tip) this.tip.hidden = true;
    if (!this.live) this.redraw();
  };

  #click = () => {
    if (this.hover) this.open(this.hover);
  };
}
