// Where the console's modules are, and words for what `h` describes.
export const LIB = new URL("../../../gateway/http/console/static/lib/", import.meta.url);

/** All text of a description, as a reader would see it. */
export function text(node) {
  if (Array.isArray(node)) return node.map(text).join("");
  return typeof node === "object" ? text(node.children) : String(node);
}

/** All described elements, the node itself included. */
export function elements(node) {
  if (Array.isArray(node)) return node.flatMap(elements);
  return typeof node === "object" ? [node, ...elements(node.children)] : [];
}

export const HOSTILE = [
  "<img src=x onerror=window.pwned=1>",
  "<script>window.pwned=1</script>",
  '"><svg onload=window.pwned=1>',
  "' autofocus onfocus='window.pwned=1",
  "javascript:window.pwned=1",
  "data:text/html,<script>window.pwned=1</script>",
  "[click](javascript:window.pwned=1)",
  "[click](data:text/html;base64,PHNjcmlwdD4=)",
  "![x](http://evil.example/track.png)",
  "[a](http://good.example@evil.example/)",
  "{{constructor.constructor('window.pwned=1')()}}",
  "${window.pwned=1}",
  "<iframe srcdoc='<script>window.pwned=1</script>'>",
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.pwned=1&gt;">',
  "invoice\u202egnp.exe",
  "a\u0000b\u001b[31mred\u0007",
  "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324",
  "\u{e0041}\u{e0042}hidden",
  "a\u2066b\u2069c\u200b",
  "```\n</pre><script>window.pwned=1</script>\n```",
];
