// Small parts that several pages use.

import { h } from "../dom.js";
import { shortId, statusWord } from "../format.js";

/** A status as a mark and a word. */
export const status = (name, word = statusWord(name)) => h("span", { class: `status ${name}` }, word);

export function button(label, act, { kind = "", ...props } = {}) {
  return h("button", { type: "button", class: `button ${kind}`, onclick: act, ...props }, label);
}

export const jobLink = (id) =>
  h("a", { class: "mono", href: `/ui/jobs/${id}`, title: id, "aria-label": `Job ${id}` }, shortId(id));

export const typeLink = (type) =>
  h("a", { href: `/ui/types/${encodeURIComponent(type)}` }, type || "unknown");

export function labels(map, most = 3) {
  const all = Object.entries(map ?? {});
  const shown = all.slice(0, most).map(([key, value]) => tag(`${key}=${value}`));
  if (all.length > most) shown.push(h("span", { class: "tag" }, `+${all.length - most}`));
  return h("span", { class: "tags" }, shown);
}

export const tag = (text, kind = "") => h("span", { class: `tag ${kind}`, title: text }, h("span", {}, text));

export function card(title, { end, empty, ...props } = {}, ...body) {
  return h(
    "section",
    { class: "card", ...props },
    h("header", {}, h("h2", {}, title), end && h("div", { class: "end" }, end)),
    empty ? h("div", { class: "empty" }, empty) : body,
  );
}

/** A table. A column is [title, class]. A row is an element. */
export function table(caption, columns, rows) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: "hidden-text" }, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map(([title, name]) => h("th", { class: name ?? "", scope: "col" }, title)),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}

export const problem = (error) => error && h("div", { class: "callout bad", role: "alert" }, error.message);

/** A short message that goes away by itself. */
export function note(text, kind = "") {
  const node = h("div", { class: kind }, text);
  document.getElementById("notes").append(node);
  setTimeout(() => node.remove(), kind === "bad" ? 10_000 : 6_000);
}

/** Copy, where the browser lets pages do it. */
export function copyButton(text, what) {
  if (!navigator.clipboard) return null;
  return button("Copy", () => navigator.clipboard.writeText(text).then(() => note(`${what} is copied.`)), {
    kind: "plain slim",
    "aria-label": `Copy ${what.toLowerCase()}`,
  });
}

/** Call `act`; if it fails, say why. */
export async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    note(error.message, "bad");
    return null;
  }
}
