// Overview: what is going on, and what needs somebody.

import { fleet, get } from "../api.js";
import { h } from "../dom.js";
import { ago, count, duration, number, running, seconds } from "../format.js";
import { toAddress } from "../job_filter.js";
import * as live from "../live.js";
import { latencyChart, throughputChart } from "../parts/activity_charts.js";
import { card, jobLink, problem, status, table, tag, typeLink } from "../parts/ui.js";
import { poll, throttled } from "../poll.js";
import { notices, sums } from "./overview_facts.js";

const PAUSE = 3000;

export class OverviewPage {
  stats = null;
  types = null;
  fleet = null;
  ready = null;
  failures = null;
  error = null;
  chartType = "";

  constructor({ redraw, signal }) {
    Object.assign(this, { redraw, signal });
    this.charts = [throughputChart({ signal, redraw }), latencyChart({ signal, redraw })];
    const failuresChanged = throttled(1000, this.askFailures, signal);
    poll(PAUSE, this.ask, signal);
    poll(10 * PAUSE, this.askFailures, signal);
    live.on("jobs", (jobs) => jobs.some((job) => job.status === "failed") && failuresChanged(), signal);
  }

  ask = async () => {
    const asked = {
      stats: get("/stats", {}, this.signal),
      types: get("/types", {}, this.signal).then((answer) => answer.types),
      // Without a live worker the workers' port answers 503.
      fleet: fleet("state").catch((error) => (error.status ? { workers: [] } : Promise.reject(error))),
      ready: fetch("/readyz", { cache: "no-store" }).then((answer) => answer.ok),
    };
    await Promise.allSettled(Object.values(asked));
    try {
      for (const [name, answer] of Object.entries(asked)) this[name] = await answer;
      this.error = null;
    } catch (error) {
      if (this.signal.aborted) return;
      this.error = error;
    }
    this.drawCharts();
    this.redraw();
  };

  askFailures = async () => {
    const query = { statuses: ["failed"], view: "basic", pageSize: 6 };
    const answer = await get("/jobs", query, this.signal).catch(() => null);
    if (answer) this.failures = answer.jobs;
    this.redraw();
  };

  drawCharts() {
    if (this.stats) for (const chart of this.charts) chart.show(this.stats.minutes, this.chartType);
  }

  choose = (event) => {
    this.chartType = event.target.value;
    this.drawCharts();
  };

  view(now) {
    if (!this.stats) return [head(null), problem(this.error) ?? h("p", { class: "soft" }, "Loading…")];
    return [
      head(this.typeSelect()),
      problem(this.error),
      notices(this, now),
      tiles(sums(this)),
      h(
        "div",
        { class: "columns" },
        this.charts.map((each) => each.card()),
      ),
      h(
        "div",
        { class: "columns wide-first" },
        byType(this.stats.types),
        h("div", { class: "stack" }, health(this), failures(this.failures, now)),
      ),
    ];
  }

  typeSelect() {
    const names = this.stats.types.map((each) => each.type).filter(Boolean);
    const props = {
      id: "chart-type",
      value: this.chartType,
      onchange: this.choose,
      style: { width: "auto" },
    };
    const options = names.map((name) => h("option", { value: name }, name));
    const select = h("select", props, h("option", { value: "" }, "all types"), options);
    return h("label", { class: "soft", for: "chart-type" }, "Charts: ", select);
  }
}

const head = (end) => h("div", { class: "head" }, h("h1", {}, "Overview"), h("div", { class: "end" }, end));

function tiles(total) {
  const tile = (title, value, below, href, kind = "") =>
    h(
      "a",
      { class: "tile", href },
      h("span", { class: "soft" }, title),
      h("strong", { class: kind }, value),
      h("span", { class: "soft" }, below),
    );
  const ended = total.completed + total.failed;
  const share = ended
    ? `${((100 * total.failed) / ended).toFixed(total.failed ? 1 : 0)} % of those that ended`
    : "nothing has ended";
  return h(
    "div",
    { class: "tiles" },
    tile("Waiting", number(total.queued, total.queuedCapped), "jobs", "/ui/jobs?statuses=queued"),
    tile(
      "Oldest waiting",
      duration(total.oldest),
      total.oldestType || "nothing waits",
      toAddress({ statuses: ["queued"], types: [total.oldestType], oldestFirst: true }),
      total.oldest > 60 ? "warn" : "",
    ),
    tile("Running", number(total.processing, total.processingCapped), "jobs", "/ui/jobs?statuses=processing"),
    tile("Completed", number(total.completed), "in the last hour", "/ui/jobs?statuses=completed"),
    tile("Failed", number(total.failed), share, "/ui/jobs?statuses=failed", total.failed ? "bad" : ""),
    tile(
      "Workers",
      number(total.workers),
      total.lost ? `and ${total.lost} lost` : "live",
      "/ui/fleet",
      total.workers ? "" : "bad",
    ),
  );
}

const TYPE_COLUMNS = [
  ["Type"],
  ["Waiting", "number"],
  ["Running", "number"],
  ["Completed", "number wide"],
  ["Failed", "number"],
  ["Oldest", "number"],
  ["Start p95", "number wide"],
  ["Run p95", "number wide"],
];

function byType(types) {
  const end = h("span", { class: "soft small" }, "last hour");
  const empty = !types.length && "No job type is known yet.";
  return card("Types", { end, empty }, table("Jobs by type", TYPE_COLUMNS, types.map(typeRow)));
}

function typeRow(each) {
  const hour = each.lastHour ?? {};
  const isAlone = each.type && !each.hasWorker;
  return h(
    "tr",
    { key: `type ${each.type}` },
    h("td", {}, typeLink(each.type), isAlone && [" ", tag("no worker", "warn")]),
    h("td", { class: "number" }, number(each.queued, each.queuedCapped)),
    h("td", { class: "number" }, number(each.processing, each.processingCapped)),
    h("td", { class: "number wide" }, number(hour.completed)),
    h("td", { class: `number ${hour.failed ? "bad" : ""}` }, number(hour.failed)),
    h("td", { class: "number still" }, each.oldestWaiting ? running(seconds(each.oldestWaiting)) : "–"),
    h("td", { class: "number wide still" }, duration(seconds(hour.startLatency?.p95))),
    h("td", { class: "number wide still" }, duration(seconds(hour.runLatency?.p95))),
  );
}

function health({ ready, fleet: state, types }) {
  const workers = state?.workers ?? [];
  const lost = workers.filter((each) => each.report.state === "lost").length;
  const alive = workers.length - lost;
  const alone = (types ?? []).filter((each) => each.waiting && !each.liveWorkers).length;
  const line = (name, isGood, good, bad) =>
    h("li", {}, h("span", {}, name), isGood ? status("live", good) : status("failed", bad));
  const living = count(alive, "live worker");
  return card(
    "Health",
    {},
    h(
      "ul",
      { class: "body health" },
      line("API servers", ready, "Serving", "Not serving"),
      line("Workers", alive && !lost, living, lost ? `${living}, ${lost} lost` : "No live worker"),
      line("Fleet", state?.consuming, "Takes new jobs", state?.consuming === false ? "Stopped" : "Not known"),
      line("Types", !alone, "Each has a worker", `${count(alone, "type")} without a worker`),
    ),
  );
}

function failures(jobs, now) {
  const rows = (jobs ?? []).map((job) =>
    h(
      "tr",
      { key: job.id },
      h("td", { class: "still" }, jobLink(job.id)),
      h("td", { class: "cut", title: job.error?.message }, job.error?.message || job.error?.reason),
      h("td", { class: "number still soft" }, ago(job.endTime, now)),
    ),
  );
  return card(
    "Latest failures",
    {
      end: h("a", { href: "/ui/jobs?statuses=failed" }, "All"),
      empty: !rows.length && "No job has failed.",
      class: "card failures",
    },
    table("Latest failures", [["Job"], ["Error", "cut"], ["Ended", "number"]], rows),
  );
}
