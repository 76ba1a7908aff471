// Jobs: a list that changes as the jobs do.

import { get } from "../api.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { fromAddress, matches, toAddress } from "../job_filter.js";
import * as live from "../live.js";
import { bulkButtons } from "../parts/bulk.js";
import { filterBar } from "../parts/filter_bar.js";
import { jobList } from "../parts/job_list.js";
import { OperationsPanel } from "../parts/operations.js";
import { problem } from "../parts/ui.js";
import { poll, throttled } from "../poll.js";

const PAGE = 50;
const RENEW = 30_000;
const SOON = 3_000;

export class JobsPage {
  rows = null;
  next = "";
  total = null;
  types = [];
  error = null;
  picked = new Set();
  current = -1; // The row that the keys have led to.
  asked = 0;

  constructor({ query, redraw, navigate, signal }) {
    Object.assign(this, { redraw, navigate, signal, filter: fromAddress(query) });
    this.operations = new OperationsPanel({ redraw, signal });
    this.askSoon = throttled(SOON, this.ask, signal);
    poll(RENEW, this.ask, signal);
    poll(RENEW, this.askTypes, signal);
    live.on("gap", this.ask, signal);
    live.on("jobs", this.hear, signal);
  }

  ask = async () => {
    const asked = ++this.asked;
    const query = { ...this.filter, pageSize: PAGE, view: "basic", includeTotalSize: true };
    try {
      const answer = await get("/jobs", query, this.signal);
      // The answer to an older question can come later.
      if (asked !== this.asked) return;
      this.rows = answer.jobs.map(live.newest).filter((job) => matches(this.filter, job));
      this.next = answer.nextPageToken;
      this.total = { size: answer.totalSize, capped: answer.totalSizeCapped };
      this.error = null;
    } catch (error) {
      if (this.signal.aborted || asked !== this.asked) return;
      this.error = error;
    }
    this.redraw();
  };

  askTypes = async () => {
    const answer = await get("/types", {}, this.signal).catch(() => null);
    if (answer) this.types = answer.types.map((each) => each.type);
  };

  /** The stream has told of these jobs. */
  hear = (jobs) => {
    if (!this.rows) return;
    // Their number, and rows that moved up from the next page, only the server knows.
    if (jobs.filter((job) => apply(this, job)).length) this.askSoon();
    this.redraw();
  };

  change = (filter) => this.navigate(toAddress({ ...filter, pageToken: "" }));

  openJob = (id) => this.navigate(`/ui/jobs/${id}`);

  pick = (id) => {
    if (!this.picked.delete(id)) this.picked.add(id);
    this.redraw();
  };

  pickAll = (isWanted) => {
    this.picked = new Set(isWanted ? this.rows.map((job) => job.id) : []);
    this.redraw();
  };

  update(query) {
    this.filter = fromAddress(query);
    this.picked.clear();
    this.current = -1;
    this.ask();
  }

  /** True if the key means something here. */
  press(key) {
    const job = this.rows?.[this.current];
    const hasFocus = ["BODY", "MAIN"].includes(document.activeElement.tagName);
    if (key === "j" || key === "k") this.move(key === "j" ? 1 : -1);
    else if (key === "x" && job) this.pick(job.id);
    else if (key === "Enter" && job && hasFocus) this.openJob(job.id);
    else return false;
    return true;
  }

  move(step) {
    const last = (this.rows?.length ?? 0) - 1;
    this.current = Math.min(Math.max(this.current + step, 0), last);
    this.redraw();
    setTimeout(() => document.querySelector("tr.current")?.scrollIntoView({ block: "nearest" }), 20);
  }

  view(now) {
    const { filter, operations, total } = this;
    const size = total?.size === undefined ? "" : count(total.size, "job", "jobs", total.capped);
    return [
      h(
        "div",
        { class: "head" },
        h("h1", {}, "Jobs"),
        h("span", { class: "soft" }, size),
        h(
          "div",
          { class: "end" },
          bulkButtons(filter, operations),
          h("a", { class: "button main", href: "/ui/types" }, "Submit a job"),
        ),
      ),
      operations.view(now),
      filterBar(filter, this.types, now, this.change, this.openJob),
      problem(this.error),
      this.rows ? jobList(this, now) : !this.error && h("p", { class: "soft" }, "Loading…"),
    ];
  }
}

/** Bring what the stream told into the list. True if a job has come, left or been left out. */
function apply({ rows, filter }, job) {
  const index = rows.findIndex((each) => each.id === job.id);
  const fits = matches(filter, job);
  if (index >= 0) {
    if (rows[index].revision > job.revision) return false;
    if (fits) rows[index] = job;
    else rows.splice(index, 1);
    return !fits;
  }
  // Newest first is the order of the ids.
  if (!fits || filter.oldestFirst || filter.pageToken) return fits;
  const place = rows.findIndex((each) => each.id < job.id);
  if (place < 0 && rows.length >= PAGE) return true;
  rows.splice(place < 0 ? rows.length : place, 0, job);
  rows.length = Math.min(rows.length, PAGE);
  return true;
}
