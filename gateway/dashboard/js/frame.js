// The bar at the top, and the banner below it.

import { h, morph } from "./dom.js";
import * as live from "./live.js";
import { showKeys } from "./parts/dialog.js";
import { askForToken } from "./parts/token_dialog.js";
import { button, status } from "./parts/ui.js";
import { theme } from "./theme.js";
import * as token from "./token.js";

const STATES = { live: "Live", connecting: "Connecting", offline: "Offline" };
const THEMES = { system: "Auto", light: "Light", dark: "Dark" };
const OFFLINE =
  "Offline: the gateway does not answer. What you see may be old. The page tries again by itself.";

const NO_TOKEN = "The server asks for a token. What you see may be old.";

/** `pages` as in main.js. */
export function drawFrame(pages, changeTheme) {
  const place = location.pathname.split("/")[2] ?? "";
  const links = pages
    .filter(([, title]) => title !== "Job")
    .map(([path, title]) =>
      h("a", { href: `/ui/${path}`, "aria-current": path === place ? "page" : null }, title),
    );
  morph(document.getElementById("pages"), h("nav", {}, links));
  morph(document.getElementById("tools"), h("div", {}, tools(changeTheme)));
  const banner = document.getElementById("banner");
  const text = token.isWanted() ? NO_TOKEN : live.state() === "offline" ? OFFLINE : "";
  if (banner.textContent !== text) banner.textContent = text;
}

function tools(changeTheme) {
  const kind = "plain wide";
  return [
    h("span", { class: "small", title: "The stream of changes" }, status(live.state(), STATES[live.state()])),
    (token.isWanted() || token.isSet()) && button("Token", askForToken, { kind }),
    button(THEMES[theme()], changeTheme, { kind, "aria-label": `Theme: ${theme()}` }),
    button(h("kbd", {}, "?"), showKeys, { kind, "aria-label": "Keys" }),
  ];
}
