// Questions that need an answer before something is done.

import { h } from "../dom.js";
import { button } from "./ui.js";

/** Show a dialog. `content(close)` makes its elements. Resolves when it is closed. */
export function show(title, content) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" });
    const close = (value) => {
      dialog.returnValue = value ? "yes" : "";
      dialog.close();
    };
    dialog.append(h("div", {}, h("h2", { id: "dialog-title" }, title), content(close)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    dialog.addEventListener("click", (event) => event.target === dialog && close(false));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** True if the person says yes. `text` are paragraphs or elements. */
export function confirm(title, text, yes, { danger = false, no = "Keep it as it is" } = {}) {
  return show(title, (close) => [
    [text].flat().map((each) => (each instanceof Node ? each : h("p", {}, each))),
    h(
      "div",
      { class: "actions" },
      button(no, () => close(false)),
      button(yes, () => close(true), { kind: danger ? "main danger" : "main" }),
    ),
  ]);
}

/** Say something that needs no decision. */
export function tell(title, text) {
  return show(title, (close) => [
    h("p", {}, text),
    h(
      "div",
      { class: "actions" },
      button("Close", () => close(false)),
    ),
  ]);
}

const KEYS = [
  ["g then o", "Overview"],
  ["g then j", "Jobs"],
  ["g then f", "Fleet"],
  ["g then t", "Types"],
  ["/", "Find or filter jobs"],
  ["j  k", "Next or previous job in the list"],
  ["Enter", "Open the job"],
  ["x", "Select the job"],
  ["t", "Light, dark, or as the system"],
  ["?", "This list"],
  ["Esc", "Close"],
];

export function showKeys() {
  return show("Keys", (close) => [
    h(
      "dl",
      {},
      KEYS.map(([keys, what]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)]),
    ),
    h(
      "div",
      { class: "actions" },
      button("Close", () => close(false)),
    ),
  ]);
}
