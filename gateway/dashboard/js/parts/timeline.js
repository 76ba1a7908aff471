// The attempts of a job on one axis of time.

import { h } from "../dom.js";
import { clock, count, duration, running, workerName } from "../format.js";
import { card } from "./ui.js";

const WORDS = {
  running: "running",
  succeeded: "succeeded",
  errored: "failed",
  lost: "worker lost",
  handed_back: "handed back",
  cancelled: "cancelled",
};

export function timeline(job, now) {
  const attempts = job.history ?? [];
  if (!attempts.length) return null;
  const begin =
    job.attempt > attempts.length ? Date.parse(attempts[0].startTime) : Date.parse(job.createTime);
  const end = Math.max(...attempts.map((each) => (each.endTime ? Date.parse(each.endTime) : now)), begin + 1);
  const share = (time) => Math.min(Math.max((100 * (time - begin)) / (end - begin), 0), 100);
  let previous = begin;
  const rows = attempts.map((each) => {
    const from = Date.parse(each.startTime);
    const to = each.endTime ? Date.parse(each.endTime) : now;
    const row = one(
      each,
      { waited: [share(previous), share(from)], ran: [share(from), share(to)] },
      from - previous,
      to - from,
    );
    previous = to;
    return row;
  });
  const hidden = job.attempt - attempts.length;
  return card(
    "Attempts",
    { end: hidden > 0 && h("span", { class: "soft small" }, `${count(hidden, "earlier attempt")} not kept`) },
    h(
      "ol",
      { class: "body timeline" },
      rows,
      h(
        "li",
        { "aria-hidden": "true" },
        h("span"),
        h("span", { class: "ends" }, h("span", {}, clock(begin)), h("span", {}, clock(end))),
        h("span"),
      ),
    ),
  );
}

function one(each, { waited, ran }, pause, took) {
  const isRunning = each.outcome === "running";
  const worker = workerName(each.workerId) || "a caller without a name";
  return h(
    "li",
    { key: `attempt ${each.attempt}` },
    h("span", {}, `Attempt ${each.attempt}`),
    h(
      "span",
      { class: "track" },
      h("span", { class: "waited", style: { left: `${waited[0]}%`, width: `${waited[1] - waited[0]}%` } }),
      h("span", {
        class: `span ${each.outcome} ${isRunning ? "pulse" : ""}`,
        style: { left: `min(${ran[0]}%, calc(100% - 3px))`, width: `${ran[1] - ran[0]}%` },
      }),
    ),
    h("span", { class: "number" }, isRunning ? running(took / 1000) : duration(took / 1000)),
    h(
      "span",
      { class: `about ${each.outcome === "errored" || each.outcome === "lost" ? "bad" : ""}` },
      `${WORDS[each.outcome] ?? each.outcome} on ${worker}, after a wait of ${duration(pause / 1000)}`,
      each.error ? ` · ${each.error.reason || each.error.code}: ${each.error.message}` : "",
    ),
  );
}
