// A JSON object as text with colours.

import { h } from "../dom.js";
import { number } from "../format.js";
import { button, card, copyButton } from "./ui.js";

const MOST = 20_000; // Characters that are shown at first.
const TOKENS = /("(?:\\.|[^"\\])*")(\s*:)?|(true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;

/** `views` remembers, by title, what was written and whether all of it is shown. */
export function jsonCard(title, value, views, redraw, empty) {
  if (value === undefined || value === null) return card(title, { empty: empty ?? "Loading…" });
  const view = views.get(title) ?? { value: null, all: false };
  views.set(title, view);
  if (view.value !== value) Object.assign(view, { value, text: JSON.stringify(value, null, 2), node: null });
  const isCut = !view.all && view.text.length > MOST;
  const showAll = () => {
    Object.assign(view, { all: true, node: null });
    redraw();
  };
  return card(
    title,
    { end: copyButton(view.text, `The ${title.toLowerCase()}`) },
    h(
      "div",
      { class: "data", tabindex: "0", role: "region", "aria-label": title },
      h("pre", { class: "text json" }, coloured(isCut ? view.text.slice(0, MOST) : view.text)),
      isCut &&
        h("p", {}, button(`Show all ${number(view.text.length)} characters`, showAll, { kind: "slim" })),
    ),
  );
}

/** Pieces of the text as elements. The text itself stays as it is. */
function coloured(text) {
  if (text.length > 5 * MOST) return text;
  const pieces = [];
  let end = 0;
  for (const found of text.matchAll(TOKENS)) {
    const [, string, colon] = found;
    pieces.push(text.slice(end, found.index));
    pieces.push(h("span", { class: string ? (colon ? "key" : "string") : "other" }, string ?? found[0]));
    end = found.index + (string ?? found[0]).length;
  }
  return [...pieces, text.slice(end)];
}
