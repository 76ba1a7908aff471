// Retry and cancel many jobs: those that somebody selected, or all that match the filters.

import { post } from "../api.js";
import { h, morph } from "../dom.js";
import { count, number } from "../format.js";
import { conditions } from "../job_filter.js";
import { confirm, show, tell } from "./dialog.js";
import { attempt, button, jobLink } from "./ui.js";

const AT_ONCE = 4;
const KINDS = {
  retry: { call: "/jobs:bulkRetry", verb: "Retry", done: "queued again", of: ["failed", "cancelled"] },
  cancel: { call: "/jobs:bulkCancel", verb: "Cancel", done: "cancelled", of: ["queued", "processing"] },
};

export function bulkButtons(filter, operations) {
  return [
    button("Retry all…", () => changeMatching("retry", filter, operations), {
      "aria-label": "Retry all jobs that match",
    }),
    button("Cancel all…", () => changeMatching("cancel", filter, operations), {
      kind: "danger",
      "aria-label": "Cancel all jobs that match",
    }),
  ];
}

/** Ask the server how many jobs that would be, then the person, then begin an operation. */
async function changeMatching(kind, filter, operations) {
  const { call, verb, done, of } = KINDS[kind];
  const chosen = conditions(filter);
  const statuses = (chosen.statuses ?? of).filter((each) => of.includes(each));
  const body = { filter: { ...chosen, statuses } };
  if (!statuses.length) {
    await tell(
      `${verb} all`,
      `None of the chosen statuses is ${of.join(" or ")}, so there is nothing to ${kind}.`,
    );
    return;
  }
  const trial = await attempt(() => post(call, { ...body, dryRun: true }));
  if (!trial) return;
  const jobs = count(trial.matched, "job", "jobs", trial.matchedCapped);
  if (!trial.matched) {
    await tell(`${verb} all`, `No ${of.join(" or ")} job matches the filters. Nothing would change.`);
    return;
  }
  const yes = await confirm(
    `${verb} ${jobs}?`,
    [
      `Nothing has changed yet. ${jobs} would be ${done}.`,
      described(body.filter),
      "It goes on when this page is closed. Jobs that are created from now on are left alone.",
    ],
    `${verb} ${jobs}`,
    { danger: kind === "cancel", no: "Change nothing" },
  );
  if (yes) await attempt(async () => operations.add(await post(call, { ...body, dryRun: false })));
}

function described(filter) {
  return h(
    "dl",
    {},
    Object.entries(filter).map(([name, value]) => [
      h("dt", { class: "soft" }, name),
      h("dd", { class: "mono" }, [value].flat().join(", ")),
    ]),
  );
}

/** Retry or cancel these jobs one by one, and show how far it is. */
export async function changePicked(kind, jobs, selected, finish) {
  const { verb, done, of } = KINDS[kind];
  const changed = `would be ${done}: those that are ${of.join(" or ")}. The others stay as they are.`;
  const yes = await confirm(
    `${verb} ${count(jobs.length, "job")}?`,
    `Nothing has changed yet. ${number(jobs.length)} of the ${selected} selected ${changed}`,
    `${verb} ${count(jobs.length, "job")}`,
    { danger: kind === "cancel", no: "Change nothing" },
  );
  if (!yes) return;
  await showProgress(kind, jobs);
  finish();
}

function showProgress(kind, jobs) {
  const state = { tried: 0, changed: 0, refused: [], stopped: false };
  const title = kind === "retry" ? "Retrying" : "Cancelling";
  return show(title, (close) => {
    const box = h("div", { class: "stack" });
    const draw = () => morph(box, h("div", {}, progress(kind, jobs, state, close)));
    draw();
    run(kind, jobs, state, draw);
    return box;
  }).finally(() => (state.stopped = true));
}

function progress(kind, jobs, state, close) {
  const isOver = state.tried === jobs.length || state.stopped;
  return [
    h("progress", { max: jobs.length, value: state.tried, "aria-label": "Progress" }),
    h(
      "p",
      { role: "status" },
      `${number(state.changed)} of ${number(jobs.length)} ${KINDS[kind].done}`,
      state.refused.length ? `, ${state.refused.length} could not be changed` : "",
      ".",
    ),
    h(
      "ul",
      {},
      state.refused.slice(0, 10).map(([id, why]) => h("li", {}, jobLink(id), ` ${why}`)),
    ),
    h(
      "div",
      { class: "actions" },
      button(isOver ? "Close" : "Stop", () => close(false), { kind: isOver ? "main" : "" }),
    ),
  ];
}

async function run(kind, jobs, state, draw) {
  const waiting = [...jobs];
  const one = async () => {
    while (waiting.length && !state.stopped) {
      const { id } = waiting.shift();
      try {
        await post(`/jobs/${id}:${kind}`, {});
        state.changed += 1;
      } catch (error) {
        state.refused.push([id, error.message]);
      }
      state.tried += 1;
      draw();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}
