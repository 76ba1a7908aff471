// Operations on many jobs: those that run, and those of this page that have ended.

import { get, post } from "../api.js";
import { h } from "../dom.js";
import { ago, count, number } from "../format.js";
import { poll } from "../poll.js";
import { attempt, button, jobLink } from "./ui.js";

const OPEN = new Set(["waiting", "running"]);
const WORDS = {
  waiting: "waits for its turn",
  running: "is running",
  finished: "has finished",
  cancelled: "was ended early",
  failed: "has failed",
};

export class OperationsPanel {
  shown = new Map();
  hasListed = false;

  constructor({ redraw, signal }) {
    Object.assign(this, { redraw, signal });
    this.askNow = poll(1000, this.ask, signal);
  }

  ask = async () => {
    if (!this.hasListed) await this.list();
    for (const { id, state } of this.shown.values()) {
      if (!OPEN.has(state)) continue;
      const answer = await get(`/operations/${id}`, {}, this.signal).catch(() => null);
      if (answer) this.shown.set(id, answer);
    }
    if (this.shown.size) this.redraw();
  };

  /** Those that another tab or program has begun. */
  async list() {
    const answer = await get("/operations", { pageSize: 20 }, this.signal).catch(() => null);
    for (const each of answer?.operations ?? []) if (OPEN.has(each.state)) this.shown.set(each.id, each);
    this.hasListed = answer !== null;
  }

  /** Show one that has begun. */
  add(operation) {
    this.shown.set(operation.id, operation);
    this.redraw();
    this.askNow();
  }

  end = (id) => attempt(async () => this.shown.set(id, await post(`/operations/${id}:cancel`, {})));

  close = (id) => {
    this.shown.delete(id);
    this.redraw();
  };

  view(now) {
    if (!this.shown.size) return null;
    const all = [...this.shown.values()].map((each) => one(each, now, this.end, this.close));
    return h("section", { class: "card", "aria-label": "Operations" }, all);
  }
}

function one(each, now, end, close) {
  const tried = each.changed + each.refused;
  const most = Math.max(each.matched, tried, 1);
  const verb = each.kind === "bulk_retry" ? "Retry" : "Cancel";
  const action = OPEN.has(each.state)
    ? button("End it early", () => end(each.id), { kind: "slim" })
    : button("Hide", () => close(each.id), { kind: "plain slim" });
  const refused = each.refused ? `, ${number(each.refused)} refused` : "";
  const done = each.state === "finished" ? most : tried;
  return h(
    "div",
    { class: "operation", key: each.id },
    h(
      "div",
      { class: "line", role: "status" },
      h("strong", {}, `${verb} ${count(each.matched, "job", "jobs", each.matchedCapped)}`),
      h("span", {}, `${WORDS[each.state] ?? each.state}: ${number(each.changed)} changed${refused}`),
      h("span", { class: "soft" }, `began ${ago(each.createTime, now)}`),
      h("span", { class: "end" }, action),
    ),
    h("progress", { max: most, value: done, "aria-label": `${verb}: progress` }),
    refusals(each),
  );
}

function refusals({ refusals: all }) {
  if (!all?.length) return null;
  const lines = all.slice(0, 20).map((each) => h("li", {}, jobLink(each.jobId), ` ${each.message}`));
  return h("details", {}, h("summary", {}, "Refused jobs"), h("ul", {}, lines));
}
