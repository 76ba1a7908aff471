// Light, dark, or as the system is. The browser remembers it.

const NEXT = { system: "light", light: "dark", dark: "system" };
const changed = new EventTarget();

export const theme = () => localStorage.getItem("theme") ?? "system";

export function apply(name = theme()) {
  localStorage.setItem("theme", name);
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  changed.dispatchEvent(new Event("change"));
}

export const next = () => apply(NEXT[theme()]);

/** Listen to changes of the theme, also of the system's. */
export function onChange(listener, signal) {
  changed.addEventListener("change", listener, { signal });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listener, { signal });
}

/** The present value of a colour of base.css. */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
