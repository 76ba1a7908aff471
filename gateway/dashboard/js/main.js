// The frame: which page is shown, the bar at the top, keys.

import { now } from "./api.js";
import { h, morph } from "./dom.js";
import { drawFrame } from "./frame.js";
import * as keys from "./keys.js";
import * as live from "./live.js";
import { showKeys } from "./parts/dialog.js";
import { FleetPage } from "./pages/fleet.js";
import { JobPage } from "./pages/job.js";
import { JobsPage } from "./pages/jobs.js";
import { OverviewPage } from "./pages/overview.js";
import { TypesPage } from "./pages/types.js";
import { askForToken } from "./parts/token_dialog.js";
import * as theme from "./theme.js";
import * as token from "./token.js";

const PAGES = [
  ["", "Overview", /^\/ui\/$/, OverviewPage],
  ["jobs", "Jobs", /^\/ui\/jobs$/, JobsPage],
  ["jobs", "Job", /^\/ui\/jobs\/([^/]+)$/, JobPage],
  ["fleet", "Fleet", /^\/ui\/fleet$/, FleetPage],
  ["types", "Types", /^\/ui\/types(?:\/([^/]+))?$/, TypesPage],
];
const main = document.getElementById("main");
const shown = { path: null, query: "", page: null, end: null };
let isDrawing = false;

/** Show the view again soon. */
function redraw() {
  if (isDrawing) return;
  isDrawing = true;
  setTimeout(draw, 0);
}

function draw() {
  isDrawing = false;
  morph(main, h("main", {}, shown.page.view(now())));
  drawFrame(PAGES, changeTheme);
}

function changeTheme() {
  theme.next();
  redraw();
}

/** Go to a path of the dashboard. `replace`: without a new entry in the browser's history. */
function navigate(path, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  open();
}

function open() {
  const query = new URLSearchParams(location.search);
  const isSamePage = location.pathname === shown.path;
  if (isSamePage && location.search === shown.query) return;
  shown.query = location.search;
  if (isSamePage) {
    shown.page.update?.(query);
    redraw();
    return;
  }
  const [, title, pattern, Page] = PAGES.find((page) => page[2].test(location.pathname)) ?? PAGES[0];
  const [, parameter] = location.pathname.match(pattern) ?? [];
  const isFirst = shown.page === null;
  shown.end?.abort();
  shown.end = new AbortController();
  shown.path = location.pathname;
  document.title = `${title} · Jobs`;
  const name = parameter === undefined ? "" : decodeURIComponent(parameter);
  shown.page = new Page({ parameter: name, query, redraw, navigate, signal: shown.end.signal });
  main.replaceChildren();
  draw();
  if (!isFirst) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function followLink(event) {
  const link = event.target.closest?.("a[href^='/ui/']");
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !isPlain || event.defaultPrevented || link.target) return;
  event.preventDefault();
  navigate(link.getAttribute("href"));
}

function closeMenus(event) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (event.type === "keydown" ? event.key === "Escape" : !menu.contains(event.target)) menu.open = false;
  }
}

theme.apply();
document.addEventListener("click", followLink);
document.addEventListener("click", closeMenus);
document.addEventListener("keydown", closeMenus);
addEventListener("popstate", open);
keys.start({ navigate, changeTheme, showKeys, press: (key) => shown.page.press?.(key) });
live.on("state", redraw);
token.onWanted(askForToken);
live.start();
open();
setInterval(() => document.hidden || redraw(), 1000);
