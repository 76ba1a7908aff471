// Asks for the token, once for all calls that the server has refused.

import { h } from "../dom.js";
import * as token from "../token.js";
import { show } from "./dialog.js";
import { button } from "./ui.js";

const KEPT = "It is kept until this tab is closed.";
const WHAT = `The server asks for a token. ${KEPT}`;
const REFUSED = `The server does not take this token. Use another one. ${KEPT}`;
const PRESENT = `A token is in use. You can use another one. ${KEPT}`;
let isOpen = false;

export async function askForToken() {
  if (isOpen) return;
  isOpen = true;
  await show("Token", content);
  isOpen = false;
}

function content(close) {
  const field = h("input", {
    type: "password",
    id: "token",
    autocomplete: "off",
    spellcheck: "false",
    autofocus: true,
  });
  const onsubmit = (event) => {
    event.preventDefault();
    const value = field.value.trim();
    if (!value) return;
    close(true);
    token.set(value);
  };
  return h(
    "form",
    { class: "fields", onsubmit },
    h("p", {}, !token.isSet() ? WHAT : token.isWanted() ? REFUSED : PRESENT),
    h("label", { for: "token" }, "Token"),
    field,
    h(
      "div",
      { class: "actions" },
      token.isSet() && button("Forget it", () => (close(true), token.set(""))),
      button("Later", () => close(false)),
      h("button", { type: "submit", class: "button main" }, "Use it"),
    ),
  );
}
