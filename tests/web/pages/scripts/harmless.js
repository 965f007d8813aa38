// Tell what others' texts have become beside text.
() => ({
  pwned: window.pwned ?? null,
  made: [...document.querySelectorAll("img, iframe, object, embed, svg, video, audio, base, script:not([src])")].map(
    (each) => each.outerHTML,
  ),
  handlers: [...document.querySelectorAll("*")]
    .flatMap((each) => [...each.attributes].map((one) => one.name))
    .filter((name) => name.startsWith("on")),
  links: [...document.querySelectorAll("[href]")]
    .map((each) => each.getAttribute("href"))
    .filter((href) => !/^(https?:[/][/]|[/]console|#|data:,)/.test(href)),
});
