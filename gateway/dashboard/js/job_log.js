// The log of one job, as it is told by the job's own event stream.
//
// A browser opens six connections to a host, and many tabs with jobs would use them up. So a hidden tab has
// no such stream. It goes on when the tab can be seen again.

import { get } from "./api.js";
import { follow } from "./event_stream.js";

const MOST = 1000; // Entries that are kept.

export class JobLog {
  entries = [];
  token = "";
  isWanted = false;
  revision = 0; // The latest that the stream has told of the job.
  stream = null; // What aborts it.

  constructor(id, redraw, signal) {
    Object.assign(this, { path: `/jobs/${encodeURIComponent(id)}`, redraw, signal });
    document.addEventListener("visibilitychange", this.check, { signal });
  }

  /** How many entries of the job are not here. They are numbered from 1. */
  get dropped() {
    return (this.entries.at(-1)?.number ?? 0) - this.entries.length;
  }

  /** Follow the log until the job has ended. After its end, `revision` says whether there can be more. */
  start(revision) {
    if (revision > this.revision) this.isWanted = true;
    this.check();
  }

  stop() {
    this.isWanted = false;
    this.check();
  }

  check = () => {
    const isOpen = this.isWanted && !document.hidden;
    if (isOpen === Boolean(this.stream)) return;
    this.stream?.abort();
    this.stream = isOpen ? new AbortController() : null;
    if (isOpen) this.follow(AbortSignal.any([this.signal, this.stream.signal]));
  };

  follow(signal) {
    const told = {
      log: ({ entries }) => this.add(entries),
      job: ({ revision }) => (this.revision = revision),
      token: (token) => (this.token = token),
      ended: ({ reason }) => reason === "JOB_ENDED" && this.end(),
    };
    follow(`${this.path}:watch`, { includeLog: true, resumeToken: this.token }, told, signal);
  }

  async end() {
    this.stop();
    // The stream does not tell entries that were stored after the end.
    const query = { afterNumber: this.entries.at(-1)?.number ?? 0 };
    const answer = await get(`${this.path}/log`, query, this.signal).catch(() => null);
    if (answer) this.add(answer.entries);
  }

  /** A stream that began anew tells entries again. */
  add(entries) {
    const last = this.entries.at(-1)?.number ?? 0;
    const added = entries.filter((each) => each.number > last);
    if (!added.length) return;
    this.entries.push(...added);
    this.entries.splice(0, this.entries.length - MOST);
    this.redraw();
  }
}
