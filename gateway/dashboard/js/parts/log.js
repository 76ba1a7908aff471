// What a job's handler logged and printed.

import { h } from "../dom.js";
import { clock, count, ENDED, workerName } from "../format.js";
import { card } from "./ui.js";

const PRINTED = new Set(["stdout", "stderr"]);

export function logCard(job, { entries, dropped }) {
  const isOpen = !ENDED.has(job.status);
  const older = dropped ? `${count(dropped, "older entry", "older entries")} dropped · ` : "";
  const size = isOpen ? "new entries appear by themselves" : count(entries.length, "entry", "entries");
  const end = h("span", { class: "soft small" }, older, size);
  const none = isOpen ? "The handler has logged nothing yet." : "The handler logged nothing.";
  keepAtEnd();
  return card(
    "Log",
    { end, empty: !entries.length && none },
    h("ul", { class: "log", tabindex: "0", "aria-label": "Log" }, rows(entries)),
  );
}

/** A line for each entry, and one where an attempt begins. */
function rows(entries) {
  return entries.flatMap((each, index) =>
    each.attempt === entries[index - 1]?.attempt ? [line(each)] : [beginning(each), line(each)],
  );
}

function beginning({ attempt, workerId }) {
  return h(
    "li",
    { key: `attempt ${attempt}`, class: "break" },
    `Attempt ${attempt} · ${workerName(workerId)}`,
  );
}

function line({ number, time, kind, level, logger, message }) {
  const word = kind === "trace" ? "trace" : PRINTED.has(logger) ? logger : level;
  return h(
    "li",
    { key: `entry ${number}`, class: level },
    h("time", { class: "soft", datetime: time }, clock(time)),
    h("span", { title: logger }, word),
    h("span", { class: "message" }, message),
  );
}

/** Scroll with the log while its end is seen. */
function keepAtEnd() {
  const list = document.querySelector(".log");
  if (!list) return;
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  if (isAtEnd) setTimeout(() => (list.scrollTop = list.scrollHeight), 0);
}
