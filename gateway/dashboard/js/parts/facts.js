// What is known about a job, as a list of names and values.

import { h } from "../dom.js";
import { ago, clock, count, duration, moment, running, runTime, seconds, workerName } from "../format.js";
import { labels, typeLink } from "./ui.js";

export function facts(job, now) {
  const all = [...times(job, now), ...others(job), ...asked(job, now)].filter(Boolean);
  return h(
    "dl",
    { class: "body facts" },
    all.map(([name, value, more]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value, more && h("div", { class: "soft small" }, more))),
    ),
  );
}

function times(job, now) {
  const waited = job.startTime ? (Date.parse(job.startTime) - Date.parse(job.createTime)) / 1000 : null;
  const took = runTime(job, now);
  const isFirst = job.attempt <= 1;
  return [
    ["Type", typeLink(job.type)],
    ["Created", moment(job.createTime), ago(job.createTime, now)],
    isFirst && waited !== null && ["Waited", duration(waited), "before the start"],
    job.startTime && ["Started", moment(job.startTime), isFirst ? "" : "the latest attempt"],
    job.endTime && ["Ended", moment(job.endTime), ago(job.endTime, now)],
    took !== null && [job.endTime ? "Ran" : "Runs for", job.endTime ? duration(took) : running(took)],
  ];
}

function others(job) {
  const lost = job.losses ? `, ${count(job.losses, "lost worker")}` : "";
  const failures = `${count(job.failures, "failure")} of ${job.retryPolicy?.maxAttempts} allowed${lost}`;
  return [
    ["Attempts", `${job.attempt}`, failures],
    job.workerId && ["Worker", workerName(job.workerId), job.workerId],
  ];
}

function asked(job, now) {
  return [
    job.scheduleTime && ["Scheduled for", moment(job.scheduleTime), ago(job.scheduleTime, now)],
    job.nextAttemptTime && ["Starts", ago(job.nextAttemptTime, now), clock(job.nextAttemptTime)],
    job.expireTime && ["Expires", moment(job.expireTime), ago(job.expireTime, now)],
    job.timeout && ["Time limit", duration(seconds(job.timeout)), "for each attempt"],
    job.notify?.url && ["Webhook", job.notify.url],
    Object.keys(job.labels ?? {}).length > 0 && ["Labels", labels(job.labels, 32)],
    ["Revision", `${job.revision}`],
  ];
}
