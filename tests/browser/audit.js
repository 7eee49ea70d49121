// Checks by looking at the page: controls without a name, text with too little contrast, duplicate ids.

() => {
  const shown = (node) => node.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const findings = [];

  const named = (node) =>
    (node.getAttribute("aria-label") ?? "") +
    [...(node.labels ?? [])].map((label) => label.textContent).join("") +
    (["BUTTON", "A", "SUMMARY"].includes(node.tagName) ? node.textContent : "") +
    (node.getAttribute("aria-labelledby")
      ? (document.getElementById(node.getAttribute("aria-labelledby"))?.textContent ?? "")
      : "");
  for (const node of document.querySelectorAll(
    "button, a, input, select, textarea, summary, [tabindex='0'], dialog, nav, main, aside",
  ))
    if (shown(node) && !named(node).trim()) findings.push(`no name: ${node.outerHTML.slice(0, 120)}`);

  for (const node of document.querySelectorAll("img"))
    if (!node.hasAttribute("alt")) findings.push(`no alt: ${node.outerHTML}`);

  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) findings.push(`twice: #${id}`);

  const levels = [...document.querySelectorAll("h1, h2, h3")].filter(shown).map((node) => Number(node.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) findings.push("not one h1");

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb
      .map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
    return [getComputedStyle(document.body).backgroundColor, ...layers];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !shown(node) || node.closest("option, script, :disabled")) continue;
    const box = node.getBoundingClientRect();
    if (box.width < 2) continue;
    const layers = ground(node);
    const ratio = contrast(paint([...layers, getComputedStyle(node).color]), paint(layers));
    if (ratio < 4.5)
      findings.push(
        `pale (${ratio.toFixed(2)}): ${walker.currentNode.textContent.trim().slice(0, 40)} in ${node.outerHTML.slice(0, 60)}`,
      );
  }
  return findings;
};
