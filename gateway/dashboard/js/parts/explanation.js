// Why a job waits.

import { h } from "../dom.js";
import { ago, count } from "../format.js";

// These end by themselves soon; the others may need somebody.
const USUAL = new Set(["scheduled", "retry_backoff", "jobs_ahead", "dispatching", "workers_busy", "running"]);

export function explanation(why, now) {
  if (!why || why.reason === "ended") return null;
  const isUsual = USUAL.has(why.reason);
  const next = why.nextTime ? `${why.next} (${ago(why.nextTime, now)})` : why.next;
  const others = [...why.otherCauses.map((each) => each.message), ahead(why)].filter(Boolean);
  return h(
    "section",
    { class: `callout ${isUsual ? "" : "warn"}`, "aria-label": "Why it waits" },
    h("strong", {}, "Why it waits: "),
    why.message,
    h(
      "ul",
      { class: "causes" },
      others.map((text) => h("li", {}, text)),
      next && h("li", { class: "soft" }, next),
    ),
  );
}

/** How many jobs come first, unless a cause says it. */
function ahead(why) {
  const isSaid = [why, ...why.otherCauses].some((each) => each.reason === "jobs_ahead");
  if (isSaid || !why.ahead) return null;
  const jobs = why.aheadCapped ? `At least ${why.ahead} jobs` : count(why.ahead, "job");
  return `${jobs} of its type ${why.ahead === 1 ? "comes" : "come"} first.`;
}
