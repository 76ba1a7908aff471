// What the overview derives from the API's answers.

import { h } from "../dom.js";
import { ago, count, seconds, workerName } from "../format.js";

/** The numbers of all types together. */
export function sums({ stats, fleet }) {
  const total = { queued: 0, processing: 0, completed: 0, failed: 0, oldest: null, oldestType: "" };
  for (const each of stats.types) {
    total.queued += each.queued;
    total.queuedCapped ||= each.queuedCapped;
    total.processing += each.processing;
    total.processingCapped ||= each.processingCapped;
    total.completed += each.lastHour?.completed ?? 0;
    total.failed += each.lastHour?.failed ?? 0;
    const oldest = seconds(each.oldestWaiting);
    if (oldest !== null && oldest > (total.oldest ?? -1)) {
      total.oldest = oldest;
      total.oldestType = each.type;
    }
  }
  const workers = fleet?.workers ?? [];
  total.lost = workers.filter((each) => each.report.state === "lost").length;
  total.workers = workers.length - total.lost;
  return total;
}

/** What somebody should look at; null if there is nothing. */
export function notices({ types, fleet }, now) {
  const found = [];
  const link = (href, text) => h("a", { href }, text);
  if (fleet?.consuming === false) {
    found.push([
      h("strong", {}, "The fleet is stopped."),
      " No worker takes new jobs. ",
      link("/ui/fleet", "Start it"),
    ]);
  }
  for (const each of types ?? []) {
    const waiting = count(each.waiting, "job waits", "jobs wait", each.waitingCapped);
    const where = `/ui/jobs?statuses=queued&types=${encodeURIComponent(each.type)}`;
    if (each.waiting && !each.liveWorkers) {
      found.push([h("strong", {}, `No worker runs ${each.type}.`), ` ${waiting}. `, link(where, "Show")]);
    } else if (each.stopped && fleet?.consuming !== false) {
      found.push([
        h("strong", {}, `The type ${each.type} is stopped.`),
        ` ${waiting}. `,
        link("/ui/fleet", "Start it"),
      ]);
    }
  }
  for (const each of fleet?.workers ?? []) {
    if (each.report.state !== "lost") continue;
    const name = workerName(each.identity.workerId);
    found.push([
      h("strong", {}, `Worker ${name} is lost.`),
      ` Its last heartbeat came ${ago(each.lastHeartbeatTime, now)}.`,
    ]);
  }
  if (!found.length) return null;
  return h(
    "ul",
    { class: "notices" },
    found.slice(0, 6).map((each) => h("li", { class: "callout warn" }, h("span", {}, each))),
  );
}
