// Draw, draw again, and tell what was kept, refused and heard.
async (lib) => {
  const { h, render } = await import(`${lib}/dom.js`);
  const box = document.createElement("div");
  document.body.append(box);
  const list = (...keys) =>
    h(
      "ul",
      {},
      keys.map((key) => h("li", { key }, h("input", { value: key }))),
    );
  render(box, list("a", "b", "c"));
  const b = box.querySelectorAll("li")[1];
  b.firstChild.focus();
  render(box, list("c", "b", "d"));
  const kept = box.querySelectorAll("li")[1] === b && document.activeElement === b.firstChild;
  const order = [...box.querySelectorAll("input")].map((each) => each.value);
  const gone = [];
  render(box, h("p", { key: "x", removed: () => gone.push("x") }, "text", null, false, 0));
  const text = box.textContent;
  render(box, "only text");
  const refusals = [];
  for (const props of [{ innerHTML: "<b>" }, { srcdoc: "x" }, { src: "//x" }, { onclick: "alert(1)" }]) {
    try {
      render(box, h("p", props));
      refusals.push("taken");
    } catch (error) {
      refusals.push(error.name);
    }
  }
  render(
    box,
    h("a", { href: "javascript:alert(1)", key: "bad" }),
    h("a", { href: "https://x.example", key: "good" }),
    h("a", { href: "//evil.example", key: "other" }),
  );
  const links = [...box.querySelectorAll("a")].map((each) => each.getAttribute("href"));
  let clicks = 0;
  const one = () => {
    clicks += 1;
  };
  render(
    box,
    h("button", { onclick: one }),
    h("select", { value: "2" }, h("option", { value: "1" }), h("option", { value: "2" })),
  );
  box.querySelector("button").click();
  render(
    box,
    h("button", { onclick: one }),
    h("select", { value: "1" }, h("option", { value: "1" }), h("option", { value: "2" })),
  );
  box.querySelector("button").click();
  render(box, h("button", {}), h("select", { value: "1" }));
  box.querySelector("button").click();
  box.remove();
  return { kept, order, gone, text, refusals, links, clicks };
};
