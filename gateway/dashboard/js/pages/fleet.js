// Fleet: the workers, and what is stopped.

import { fleet, get } from "../api.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { confirm } from "../parts/dialog.js";
import { types, workers } from "../parts/fleet_tables.js";
import { attempt, button, note, problem } from "../parts/ui.js";
import { poll } from "../poll.js";

export class FleetPage {
  fleet = null;
  types = [];
  error = null;
  isAsking = false;

  constructor({ redraw, signal }) {
    Object.assign(this, { redraw, signal });
    this.askNow = poll(2000, this.ask, signal);
  }

  ask = async () => {
    try {
      this.fleet = await askFleet("state");
      this.types = (await get("/types", {}, this.signal)).types;
      this.error = null;
    } catch (error) {
      if (this.signal.aborted) return;
      this.error = error;
    }
    this.redraw();
  };

  /** Start or stop a part: {all: true}, {worker: name} or {type: name}. */
  change = async (call, part) => {
    this.isAsking = true;
    this.redraw();
    const answer = await attempt(() => askFleet(call, part));
    this.isAsking = false;
    if (answer) {
      const { pendingWorkerIds, ...desired } = answer;
      Object.assign(this.fleet, desired);
      note(outcome(call, pendingWorkerIds.length));
    }
    this.askNow();
  };

  stopAll = async () => {
    const inFlight = inFlightOf(this.fleet);
    const text = [
      "No worker takes new jobs until somebody starts the fleet again, not even one that starts later.",
      `${count(inFlight, "job")} in flight may finish. New jobs are stored, and wait.`,
    ];
    const options = { danger: true, no: "Let it run" };
    if (await confirm("Stop the whole fleet?", text, "Stop the fleet", options))
      this.change("stop", { all: true });
  };

  startAll = async () => {
    const parts = [...this.fleet.stoppedWorkers, ...this.fleet.stoppedTypes];
    const text = `This also starts what was stopped apart from the fleet: ${parts.join(", ")}.`;
    const options = { no: "Keep these stopped" };
    const yes = !parts.length || (await confirm("Start everything?", text, "Start everything", options));
    if (yes) this.change("start", { all: true });
  };

  view(now) {
    if (!this.fleet) {
      const title = h("div", { class: "head" }, h("h1", {}, "Fleet"));
      return [title, problem(this.error) ?? h("p", { class: "soft" }, "Loading…")];
    }
    return [
      this.head(),
      problem(this.error),
      this.fleet.consuming ? null : stopped(),
      workers(this, now),
      types(this),
    ];
  }

  head() {
    const { fleet: state, isAsking } = this;
    const isStopped = !state.consuming;
    const size = `${count(state.workers.length, "worker")}, ${count(inFlightOf(state), "job")} in flight`;
    return h(
      "div",
      { class: "head" },
      h("h1", {}, "Fleet"),
      h("span", { class: "soft" }, size),
      h(
        "div",
        { class: "end" },
        button("Start all", this.startAll, { disabled: isAsking }),
        button("Stop all…", this.stopAll, { kind: "danger", disabled: isAsking || isStopped }),
      ),
    );
  }
}

const inFlightOf = ({ workers: all }) => all.reduce((sum, each) => sum + (each.report.inFlight ?? 0), 0);

function outcome(call, late) {
  if (late === 1) return "One worker has not confirmed yet; it follows with the next heartbeat.";
  if (late) return `${late} workers have not confirmed yet; they follow with the next heartbeat.`;
  return call === "stop" ? "Stopped. Jobs in flight finish." : "Started.";
}

const askFleet = (name, part) => fleet(name, part).catch((error) => Promise.reject(explained(error)));

/** What the person can do about it, where that is known. */
function explained(error) {
  if (error.status === 503) return new Error("No worker is alive, and only workers answer for the fleet.");
  const isForbidden = error.status === 404 && !error.reason;
  return isForbidden ? new Error("This gateway does not let the dashboard start or stop workers.") : error;
}

const stopped = () =>
  h(
    "div",
    { class: "callout warn" },
    h("strong", {}, "The fleet is stopped."),
    " No worker takes new jobs. “Start all” removes every stop.",
  );
