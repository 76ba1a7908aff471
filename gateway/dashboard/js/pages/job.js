// One job, as it goes on.

import { get, post } from "../api.js";
import { h } from "../dom.js";
import { ENDED, shortId } from "../format.js";
import { JobLog } from "../job_log.js";
import * as live from "../live.js";
import { confirm } from "../parts/dialog.js";
import { explanation } from "../parts/explanation.js";
import { facts } from "../parts/facts.js";
import { jsonCard } from "../parts/json_view.js";
import { logCard } from "../parts/log.js";
import { timeline } from "../parts/timeline.js";
import { attempt, button, card, copyButton, note, problem, status } from "../parts/ui.js";
import { poll, throttled } from "../poll.js";

export class JobPage {
  job = null;
  why = null;
  error = null;
  views = new Map(); // What of the payload and the result is shown.

  constructor({ parameter, redraw, signal }) {
    Object.assign(this, { id: parameter, redraw, signal });
    this.log = new JobLog(parameter, redraw, signal);
    this.askSoon = throttled(400, this.ask, signal);
    this.askWhyNow = poll(3000, this.askWhy, signal);
    poll(15_000, this.ask, signal);
    live.on("gap", this.ask, signal);
    live.on("jobs", this.hear, signal);
  }

  ask = async () => {
    const isFirst = this.job === null;
    try {
      const path = `/jobs/${encodeURIComponent(this.id)}`;
      this.job = live.newest(await get(path, {}, this.signal));
      this.error = null;
      this.log.start(this.job.revision);
      if (isFirst) this.askWhyNow();
    } catch (error) {
      if (this.signal.aborted) return;
      if (error.status === 404) this.log.stop();
      this.error = error;
    }
    this.redraw();
  };

  askWhy = async () => {
    const isQueued = this.job?.status === "queued";
    const answer = isQueued && (await get(`/jobs/${this.id}:explain`, {}, this.signal).catch(() => this.why));
    this.why = answer || null;
    if (isQueued) this.redraw();
  };

  /** The stream has told of these jobs. */
  hear = (jobs) => {
    const told = jobs.find((job) => job.id === this.job?.id);
    if (!told || told.revision <= this.job.revision) return;
    const isOther = told.status !== this.job.status || told.attempt !== this.job.attempt;
    this.job = { ...this.job, ...told };
    if (isOther) {
      this.log.start(told.revision);
      this.askSoon(); // The stream does not tell the attempts, nor the result.
      this.askWhyNow();
    }
    this.redraw();
  };

  change = async (name) => {
    if (name === "cancel" && !(await isSure(this.job))) return;
    const changed = await attempt(() => post(`/jobs/${this.job.id}:${name}`, {}));
    if (changed) note(name === "cancel" ? "The job is cancelled." : "The job is queued again.");
    this.ask();
  };

  view(now) {
    const { job, views, redraw } = this;
    if (!job) {
      return [head(this.id, null), missing(this.error, this.id) ?? h("p", { class: "soft" }, "Loading…")];
    }
    return [
      head(this.id, job, this.change),
      problem(this.error),
      job.status === "queued" && explanation(this.why, now),
      ENDED.has(job.status) && job.error && failure(job),
      job.status === "processing" && job.progress && progress(job),
      card("Details", {}, facts(job, now)),
      timeline(job, now),
      h(
        "div",
        { class: "columns even" },
        jsonCard("Payload", job.payload, views, redraw),
        jsonCard("Result", job.result, views, redraw, noResult(job)),
      ),
      logCard(job, this.log),
    ];
  }
}

function missing(error, id) {
  if (error?.status === 404)
    return h("div", { class: "card empty" }, `There is no job ${id}. It may have been deleted.`);
  return problem(error);
}

function head(id, job, act) {
  const canRetry = job?.status === "failed" || job?.status === "cancelled";
  const canCancel = job && !ENDED.has(job.status);
  document.title = job ? `${job.type} ${shortId(job.id)} · Jobs` : "Job · Jobs";
  return h(
    "div",
    { class: "head" },
    h("h1", {}, job ? `${job.type} job` : "Job"),
    job && status(job.status),
    h("span", { class: "id soft" }, h("code", {}, id), copyButton(id, "The id")),
    h(
      "div",
      { class: "end" },
      canRetry && button("Retry", () => act("retry"), { kind: "main", key: "retry" }),
      canCancel && button("Cancel", () => act("cancel"), { kind: "danger", key: "cancel" }),
    ),
  );
}

function isSure({ status: name }) {
  const text =
    name === "processing"
      ? "The job is running. Its handler is stopped within about a second. What it has done already stays."
      : "The job has not started, and never will unless it is retried.";
  return confirm("Cancel this job?", text, "Cancel the job", { danger: true, no: "Let it go on" });
}

function failure({ status: name, error }) {
  return h(
    "section",
    { class: `callout ${name === "failed" ? "bad" : "warn"}`, "aria-label": "Error" },
    h("strong", {}, error.reason || error.code, " "),
    h("span", { class: "soft small" }, error.reason ? error.code : ""),
    h("pre", { class: "text" }, error.message || "No message."),
  );
}

function progress({ progress: { percent, message } }) {
  return h(
    "section",
    { class: "card", "aria-label": "Progress" },
    h(
      "div",
      { class: "body stack", style: { gap: "8px" } },
      h(
        "div",
        { class: "head", style: { "min-height": "0" } },
        h("strong", {}, `${Math.round(percent)} %`),
        h("span", { class: "soft" }, message),
      ),
      h("progress", { max: 100, value: percent, "aria-label": "Progress of the job" }),
    ),
  );
}

function noResult(job) {
  if (job.status === "completed") return null;
  return ENDED.has(job.status)
    ? "The job has no result, because it has not completed."
    : "The result is here when the job has completed.";
}
