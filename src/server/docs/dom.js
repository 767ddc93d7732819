// Making elements: text only ever becomes text.

/** An element with these properties and children. `aria-*` and the like are attributes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** A text in which backticks mark code, as a person reads it. */
export function prose(text) {
  const parts = String(text).split(/`([^`]+)`/);
  return parts.map((part, index) => (index % 2 === 1 ? element("code", {}, part) : part));
}

/** A block of code that the keyboard can scroll. */
export function code(text, label) {
  return element("pre", { tabIndex: 0, role: "group", "aria-label": label }, element("code", {}, text));
}
