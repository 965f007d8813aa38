// Show texts in every way that a page does, and tell what came of them.
async ([lib, texts]) => {
  const { h, render } = await import(`${lib}/dom.js`);
  const { line, block } = await import(`${lib}/text.js`);
  const { markdown } = await import(`${lib}/markdown.js`);
  const box = document.createElement("div");
  document.body.append(box);
  const seen = [];
  for (const text of texts) {
    render(box, h("h2", { title: text }, line(text)), block(text), h("div", {}, markdown(text)));
    seen.push(
      [box.querySelector("h2"), box.querySelector("pre"), box.querySelector("div")].map(
        (each) => each.textContent === text,
      ),
    );
    seen.push(box.querySelectorAll("img, svg, iframe, script, math, style, a").length);
  }
  box.remove();
  return { seen, pwned: window.pwned ?? null };
};
