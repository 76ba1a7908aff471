// The filters above the list of jobs.

import { h } from "../dom.js";
import { clock, STATUSES, statusWord } from "../format.js";
import { LISTS, meaning, TIMES } from "../job_filter.js";
import { button, note } from "./ui.js";

const NAMES = {
  labels: "label",
  labelKeys: "has label",
  errorReasons: "error",
  workerIds: "worker",
  types: "type",
};
const TIME_NAMES = {
  createTimeFrom: "created from",
  createTimeBefore: "created before",
  endTimeFrom: "ended from",
  endTimeBefore: "ended before",
};
const RANGES = [
  ["", "Any time"],
  ["900", "Last 15 minutes"],
  ["3600", "Last hour"],
  ["86400", "Last day"],
  ["604800", "Last week"],
];

/** `change(filter)` is called with a new filter, `openJob(id)` with the id that somebody typed. */
export function filterBar(filter, types, now, change, openJob) {
  const toggle = (list, value) => {
    const present = filter[list];
    const without = present.filter((each) => each !== value);
    change({ ...filter, [list]: present.includes(value) ? without : [...present, value] });
  };
  const turn = () => change({ ...filter, oldestFirst: !filter.oldestFirst });
  return h(
    "div",
    { class: "stack", style: { gap: "8px" } },
    h(
      "div",
      { class: "filters" },
      statusChips(filter, toggle),
      typeMenu(filter, types, toggle),
      timeSelect(filter, now, change),
      search(filter, types, toggle, openJob),
      pressable("Oldest first", filter.oldestFirst, turn),
    ),
    chosen(filter, toggle, change),
  );
}

function pressable(title, isPressed, act) {
  return h(
    "button",
    { type: "button", class: "chip", "aria-pressed": String(isPressed), onclick: act },
    title,
  );
}

function statusChips(filter, toggle) {
  const chips = STATUSES.map((name) =>
    pressable(statusWord(name), filter.statuses.includes(name), () => toggle("statuses", name)),
  );
  return h("div", { class: "filters", role: "group", "aria-label": "Status" }, chips);
}

function timeSelect(filter, now, change) {
  const none = filter.createTimeFrom ? "Created…" : "Any time";
  const options = RANGES.map(([value, title]) => h("option", { value }, value ? title : none));
  const onchange = (event) => choose(event, filter, now, change);
  return h("select", { "aria-label": "Created", value: "", onchange }, options);
}

function typeMenu(filter, types, toggle) {
  const known = [...new Set([...types, ...filter.types])].sort();
  const title = filter.types.length
    ? `Type: ${filter.types.length === 1 ? filter.types[0] : filter.types.length}`
    : "Type";
  return h(
    "details",
    { class: "menu" },
    h("summary", { class: `chip ${filter.types.length ? "on" : ""}` }, title),
    h(
      "div",
      {},
      known.length
        ? known.map((name) =>
            h(
              "label",
              {},
              h("input", {
                type: "checkbox",
                checked: filter.types.includes(name),
                onchange: () => toggle("types", name),
              }),
              name,
            ),
          )
        : h("p", { class: "soft" }, "No type is known."),
    ),
  );
}

function choose(event, filter, now, change) {
  const length = Number(event.target.value);
  event.target.value = "";
  change({ ...filter, createTimeFrom: length ? new Date(now - length * 1000).toISOString() : "" });
}

function search(filter, types, toggle, openJob) {
  const submit = (event) => {
    if (event.key !== "Enter") return;
    const found = meaning(event.target.value, types);
    if (!found) return;
    if (found.problem) note(found.problem, "bad");
    else if (found.id) openJob(found.id);
    else if (!filter[found.list].includes(found.value)) toggle(found.list, found.value);
    if (!found.problem) event.target.value = "";
  };
  return h("input", {
    id: "find",
    class: "search",
    type: "search",
    onkeydown: submit,
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": "Find a job or add a filter",
    placeholder: "Id, key=value, type, ERROR_REASON, worker",
  });
}

function chosen(filter, toggle, change) {
  const chip = (text, remove) =>
    h(
      "button",
      { type: "button", class: "chip on", onclick: remove, "aria-label": `Remove the filter ${text}` },
      text,
      h("span", { "aria-hidden": "true" }, "×"),
    );
  const chips = LISTS.filter((list) => list in NAMES).flatMap((list) =>
    filter[list].map((value) => chip(`${NAMES[list]}: ${value}`, () => toggle(list, value))),
  );
  for (const name of TIMES) {
    if (filter[name])
      chips.push(chip(`${TIME_NAMES[name]} ${when(filter[name])}`, () => change({ ...filter, [name]: "" })));
  }
  if (!chips.length) return null;
  const nothing = Object.fromEntries([
    ...LISTS.map((name) => [name, []]),
    ...TIMES.map((name) => [name, ""]),
  ]);
  return h(
    "div",
    { class: "filters" },
    chips,
    button("Remove all filters", () => change({ ...filter, ...nothing }), { kind: "plain slim" }),
  );
}

function when(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return time;
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? clock(time).slice(0, 5) : `${date.toLocaleDateString()}, ${clock(time).slice(0, 5)}`;
}
