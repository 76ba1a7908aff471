// The list on the jobs page.

import { h } from "../dom.js";
import { ago, count, duration, ENDED, runTime, running, workerName } from "../format.js";
import { isEmpty, toAddress } from "../job_filter.js";
import { changePicked } from "./bulk.js";
import { button, jobLink, labels, status, table, typeLink } from "./ui.js";

const COLUMNS = [
  ["Status"],
  ["Job"],
  ["Type"],
  ["About", "cut"],
  ["Worker", "wide"],
  ["Tries", "number wide"],
  ["Ran", "number wide"],
  ["Created", "number"],
];

/** `page` is a JobsPage. */
export function jobList(page, now) {
  const { rows, picked, current } = page;
  const ids = new Set(rows.map((job) => job.id));
  for (const id of picked) if (!ids.has(id)) picked.delete(id);
  const all = h("input", {
    type: "checkbox",
    "aria-label": "Select all jobs of this page",
    onchange: () => page.pickAll(!picked.size),
    checked: picked.size > 0 && picked.size === rows.length,
    indeterminate: picked.size > 0 && picked.size < rows.length,
  });
  const drawn = rows.map((job, index) => row(job, now, picked.has(job.id), index === current, page.pick));
  return h(
    "section",
    { class: "card", "aria-label": "List of jobs" },
    picked.size > 0 && pickedBar(rows, picked, () => page.pickAll(false)),
    rows.length ? table("Jobs", [[all], ...COLUMNS], drawn) : empty(page),
    pages(page),
  );
}

function pages({ filter, next }) {
  if (!next && !filter.pageToken) return null;
  const link = (title, pageToken) =>
    h("a", { class: "button slim", href: toAddress({ ...filter, pageToken }) }, title);
  return h(
    "nav",
    { class: "pages", "aria-label": "Pages of the list" },
    filter.pageToken ? link("First page", "") : h("span"),
    next ? link("Next page", next) : h("span"),
  );
}

function pickedBar(rows, picked, done) {
  const jobs = rows.filter((job) => picked.has(job.id));
  const ended = jobs.filter((job) => job.status === "failed" || job.status === "cancelled");
  const open = jobs.filter((job) => !ENDED.has(job.status));
  const act = (kind, chosen) => () => changePicked(kind, chosen, jobs.length, done);
  return h(
    "header",
    { key: "picked" },
    h("strong", {}, count(jobs.length, "job"), " selected"),
    h(
      "div",
      { class: "picked end" },
      button(`Retry ${ended.length}`, act("retry", ended), { kind: "slim", disabled: !ended.length }),
      button(`Cancel ${open.length}`, act("cancel", open), { kind: "slim danger", disabled: !open.length }),
      button("Select none", done, { kind: "plain slim" }),
    ),
  );
}

function row(job, now, isPicked, isCurrent, pick) {
  const took = job.status === "processing" ? running(runTime(job, now)) : duration(runTime(job, now));
  return h(
    "tr",
    { key: job.id, class: `${isCurrent ? "current" : ""} ${isPicked ? "picked-row" : ""}` },
    h(
      "td",
      {},
      h("input", {
        type: "checkbox",
        checked: isPicked,
        "aria-label": `Select job ${job.id}`,
        onchange: () => pick(job.id),
      }),
    ),
    h("td", {}, status(job.status)),
    h("td", { class: "still" }, jobLink(job.id)),
    h("td", { class: "still" }, typeLink(job.type)),
    h("td", { class: "cut soft" }, about(job, now)),
    h("td", { class: "wide still soft" }, workerName(job.workerId) || "–"),
    h("td", { class: "number wide" }, job.attempt || "–"),
    h("td", { class: "number wide still" }, took),
    h("td", { class: "number still soft", title: job.createTime }, ago(job.createTime, now)),
  );
}

/** What is most worth knowing about a job in its status. */
function about(job, now) {
  if (job.status === "processing" && job.progress) {
    return h(
      "span",
      { class: "progress-cell" },
      h("progress", { max: 100, value: job.progress.percent, "aria-label": "Progress" }),
      h("span", {}, `${Math.round(job.progress.percent)} %`),
      h("span", {}, job.progress.message),
    );
  }
  if (job.error && ENDED.has(job.status)) {
    return h(
      "span",
      { title: job.error.message },
      job.error.reason && h("code", { class: job.status === "failed" ? "bad" : "" }, `${job.error.reason} `),
      job.error.message,
    );
  }
  if (job.status === "queued" && job.nextAttemptTime) return `starts ${ago(job.nextAttemptTime, now)}`;
  return labels(job.labels);
}

function empty({ filter, next }) {
  const text = next
    ? "No job on this page matches; there are more pages."
    : isEmpty(filter)
      ? "There is no job yet."
      : "No job matches these filters.";
  return h(
    "div",
    { class: "empty" },
    text,
    isEmpty(filter) && !next ? h("a", { class: "button", href: "/ui/types" }, "Submit the first one") : null,
  );
}
