// The tables on the fleet page. `page` is a FleetPage.

import { h } from "../dom.js";
import { ago, moment, number } from "../format.js";
import { button, card, status, table, tag, typeLink } from "./ui.js";

const MOST = 300;
const WORDS = {
  consuming: "Takes jobs",
  paused: "Stopped",
  draining: "Shuts down",
  lost: "Lost",
  idle: "Idle",
};
const HINTS = {
  idle: "It has no partition: it has just started, or there are more workers than partitions.",
  lost: "It sends no heartbeats.",
};

/** Lost and stopped workers come first: with very many workers, not all are shown. */
export function workers(page, now) {
  const { workers: everybody, stoppedWorkers } = page.fleet;
  const isUsual = (each) => each.report.state === "consuming";
  const all = everybody.toSorted((a, b) => isUsual(a) - isUsual(b)).slice(0, MOST);
  const columns = columnsFor(all);
  const present = new Set(everybody.map((each) => each.identity.name));
  const absent = stoppedWorkers.filter((name) => !present.has(name));
  const rows = [
    ...all.map((each) => row(each.identity.workerId, columns, each, now, page)),
    ...absent.map((name) => absentRow(name, columns, page)),
  ];
  const heads = [...columns.map(([title, kind]) => [title, kind]), actions()];
  const isCut = everybody.length > all.length;
  const end = isCut && h("span", { class: "soft small" }, `${MOST} of ${number(everybody.length)} are shown`);
  return card(
    "Workers",
    { end, empty: !rows.length && "No worker has sent a heartbeat in the last hour." },
    table("Workers", heads, rows),
  );
}

const actions = () => [h("span", { class: "hidden-text" }, "Action")];

/** Title, class, and what a worker has there. Workers of an earlier version do not tell all. */
function columnsFor(all) {
  const isTold = (name) => all.some((each) => each.identity[name]);
  return [
    ["Worker", "still", nameAndHost],
    [
      "State",
      "",
      ({ report: { state } }) => h("span", { title: HINTS[state] }, status(state, WORDS[state] ?? state)),
    ],
    ["In flight", "number", inFlight],
    ["Completed", "number wide", ({ report }) => number(report.completedTotal)],
    ["Failed", "number wide", ({ report }) => number(report.failedTotal)],
    ["Types", "wide", typesOf],
    ["Partitions", "number wide", ({ report }) => number(partitionsOf(report))],
    isTold("startTime") && ["Started", "wide still soft", started],
    isTold("version") && ["Version", "wide still soft", ({ identity }) => identity.version || "–"],
    ["Last heartbeat", "wide still soft", ({ lastHeartbeatTime }, now) => ago(lastHeartbeatTime, now)],
  ].filter(Boolean);
}

const partitionsOf = (report) =>
  (report.assignments ?? []).reduce((sum, each) => sum + each.partitions.length, 0);

const started = ({ identity: { startTime } }, now) =>
  h("span", { title: moment(startTime) }, ago(startTime, now));

function nameAndHost({ identity }) {
  const place = `${identity.host}, process ${identity.pid}`;
  return [
    h("span", { title: identity.workerId }, identity.name),
    h("div", { class: "soft small wide" }, place),
  ];
}

function inFlight({ identity, report }) {
  const href = `/ui/jobs?statuses=processing&workerIds=${encodeURIComponent(identity.workerId)}`;
  return h("a", { href }, number(report.inFlight));
}

function typesOf({ identity, report }) {
  const busy = report.busyTypes ?? [];
  return [
    h("span", { title: (identity.types ?? []).join(", ") }, `${identity.types?.length ?? 0} `),
    busy.length > 0 && tag(`no slot for ${busy.join(", ")}`, "warn"),
  ];
}

function row(key, columns, worker, now, page) {
  const isStopped = page.fleet.stoppedWorkers.includes(worker.identity.name);
  const cells = columns.map(([, kind, value]) => h("td", { class: kind }, value(worker, now)));
  const action = startOrStop(isStopped, "worker", worker.identity.name, page);
  return h("tr", { key }, cells, h("td", { class: "number" }, action));
}

/** A worker that is stopped by its name but does not run. */
function absentRow(name, columns, page) {
  return h(
    "tr",
    { key: `stopped ${name}` },
    h("td", {}, name),
    h("td", { colspan: columns.length - 1 }, status("stopped", "Stopped, not running")),
    h("td", { class: "number" }, startOrStop(true, "worker", name, page)),
  );
}

function startOrStop(isStopped, kind, name, { isAsking, change }) {
  const word = isStopped ? "Start" : "Stop";
  const props = { kind: "slim", disabled: isAsking, "aria-label": `${word} ${kind} ${name}` };
  return button(word, () => change(word.toLowerCase(), { [kind]: name }), props);
}

export function types(page) {
  const rows = page.types.map((each) => {
    const isStopped = page.fleet.stoppedTypes.includes(each.type);
    return h(
      "tr",
      { key: each.type },
      h("td", {}, typeLink(each.type)),
      h("td", {}, typeState(each, isStopped)),
      h("td", { class: "number wide" }, number(each.liveWorkers)),
      h("td", { class: "number" }, number(each.waiting, each.waitingCapped)),
      h("td", { class: "number" }, startOrStop(isStopped, "type", each.type, page)),
    );
  });
  const columns = [["Type"], ["State"], ["Workers", "number wide"], ["Waiting", "number"], actions()];
  return card("Types", { empty: !rows.length && "No job type is known yet." }, table("Types", columns, rows));
}

/** Whether jobs of the type are taken. */
export function typeState(type, isStopped = type.stopped) {
  if (type.stopped) return status("stopped", isStopped ? "Stopped" : "Its workers are stopped");
  return type.liveWorkers ? status("live", "Runs") : status("failed", "No worker");
}
