// Creates elements. Text is always inserted as text, never as markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(node, name, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name === "value" || name === "checked" || name === "selected") node[name] = value;
  else node.setAttribute(name, value === true ? "" : String(value));
}

export const byId = (id) => document.getElementById(id);

// Renders items into a container, keeping the nodes of unchanged items.
export function fill(container, items, { key, make, sign = JSON.stringify }) {
  const before = new Map([...container.children].map((node) => [node.dataset.key, node]));
  const nodes = items.map((item) => kept(before.get(String(key(item))), item, { key, make, sign }));
  const focused = container.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && focusPlace(focused, container);
  arrange(container, nodes);
  if (focused && !focused.isConnected) refocus(container, place);
}

function kept(node, item, { key, make, sign }) {
  const signature = sign(item);
  if (node && node.signature === signature) return node;
  const made = make(item);
  made.dataset.key = key(item);
  made.signature = signature;
  return made;
}

function arrange(container, nodes) {
  const wanted = new Set(nodes);
  for (const node of [...container.children]) if (!wanted.has(node)) node.remove();
  nodes.forEach((node, index) => {
    if (container.children[index] !== node) container.insertBefore(node, container.children[index] ?? null);
  });
}

function focusPlace(focused, container) {
  const item = [...container.children].find((node) => node.contains(focused));
  return { key: item?.dataset.key, mark: focused.dataset.focus };
}

// Restores the focus to the same control, or else to the item that contained it.
function refocus(container, place) {
  const item = [...container.children].find((node) => node.dataset.key === place.key);
  const same = place.mark && item?.querySelector(`[data-focus="${CSS.escape(place.mark)}"]`);
  (same ?? item ?? container).focus();
}
