// Types: who runs each, and a form to submit a job.

import { get } from "../api.js";
import { h } from "../dom.js";
import { number } from "../format.js";
import { typeState } from "../parts/fleet_tables.js";
import { SubmitForm } from "../parts/submit_form.js";
import { card, problem, table, tag, typeLink } from "../parts/ui.js";
import { poll } from "../poll.js";

const MOST_NAMES = 4;

export class TypesPage {
  types = null;
  error = null;
  form = null;

  constructor({ parameter, redraw, navigate, signal }) {
    Object.assign(this, { wanted: parameter, redraw, navigate, signal });
    poll(3000, this.ask, signal);
  }

  ask = async () => {
    try {
      this.types = (await get("/types", {}, this.signal)).types;
      this.error = null;
    } catch (error) {
      if (this.signal.aborted) return;
      this.error = error;
    }
    this.redraw();
  };

  view() {
    const head = h("div", { class: "head" }, h("h1", {}, "Types"));
    if (!this.types) return [head, problem(this.error) ?? h("p", { class: "soft" }, "Loading…")];
    // Only the server itself makes jobs of the type webhook-delivery.
    const accepted = this.types.filter((each) => each.accepted && each.type !== "webhook-delivery");
    const chosen = this.wanted ? accepted.find((each) => each.type === this.wanted) : accepted[0];
    if (chosen)
      this.form ??= new SubmitForm(
        chosen,
        accepted.map((each) => each.type),
        this.navigate,
      );
    const none = this.wanted
      ? `The server takes no jobs of the type ${this.wanted}.`
      : "The server takes no jobs.";
    const form = this.form ? this.form.node() : card("Submit a job", { empty: none });
    return [
      head,
      problem(this.error),
      h("div", { class: "type-list" }, list(this.types, chosen?.type), form),
    ];
  }
}

function list(types, chosen) {
  const columns = [["Type"], ["State"], ["Workers"], ["Waiting", "number"]];
  const rows = types.map((each) =>
    h(
      "tr",
      { key: each.type, class: each.type === chosen ? "current" : "" },
      h(
        "td",
        { class: "still" },
        typeLink(each.type),
        !each.accepted && h("span", { class: "soft small" }, " not accepted"),
      ),
      h("td", {}, typeState(each)),
      h("td", {}, workerNames(each)),
      h("td", { class: "number" }, waiting(each)),
    ),
  );
  return card(
    "Job types",
    { empty: !rows.length && "No job type is known yet." },
    table("Job types", columns, rows),
  );
}

function workerNames({ workerNames: names, liveWorkers }) {
  const others = liveWorkers - MOST_NAMES;
  const shown = names.slice(0, MOST_NAMES).map((name) => tag(name));
  return h("span", { class: "tags" }, shown, others > 0 && tag(`+${others}`));
}

function waiting({ type, waiting: size, waitingCapped }) {
  const href = `/ui/jobs?statuses=queued&types=${encodeURIComponent(type)}`;
  return h("a", { href, "aria-label": `${size} waiting ${type} jobs` }, number(size, waitingCapped));
}
