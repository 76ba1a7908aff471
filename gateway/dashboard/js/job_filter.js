// The filters of a list of jobs: in the address, in the API's calls, and applied to one job.
//
// The address has the same parameters as GET /jobs.

import { asQuery } from "./api.js";
import { isUuid } from "./format.js";

export const LISTS = ["statuses", "types", "labels", "labelKeys", "errorReasons", "workerIds"];
export const TIMES = ["createTimeFrom", "createTimeBefore", "endTimeFrom", "endTimeBefore"];

/** The filter in an address. */
export function fromAddress(query) {
  const filter = Object.fromEntries(LISTS.map((name) => [name, query.getAll(name).filter(Boolean)]));
  for (const name of TIMES) filter[name] = query.get(name) ?? "";
  return {
    ...filter,
    oldestFirst: query.get("oldestFirst") === "true",
    pageToken: query.get("pageToken") ?? "",
  };
}

/** The address of the jobs page with this filter. A changed filter begins on the first page. */
export function toAddress(filter) {
  return `/ui/jobs${asQuery({ ...filter, oldestFirst: filter.oldestFirst || undefined })}`;
}

/** The conditions alone, for the calls that change all jobs that match. */
export function conditions(filter) {
  const names = [...LISTS, ...TIMES].filter((name) => filter[name]?.length);
  return Object.fromEntries(names.map((name) => [name, filter[name]]));
}

export function isEmpty(filter) {
  return !Object.keys(conditions(filter)).length;
}

/** Whether the API would list the job. */
export function matches(filter, job) {
  const labels = job.labels ?? {};
  const has = (list, value) => !list.length || list.includes(value);
  const within = (time, from, before) =>
    (!from || (time && Date.parse(time) >= Date.parse(from))) &&
    (!before || (time && Date.parse(time) < Date.parse(before)));
  return (
    has(filter.statuses, job.status) &&
    has(filter.types, job.type) &&
    filter.labels.every(
      (each) => labels[each.slice(0, each.indexOf("="))] === each.slice(each.indexOf("=") + 1),
    ) &&
    filter.labelKeys.every((key) => key in labels) &&
    has(filter.errorReasons, job.error?.reason ?? "") &&
    has(filter.workerIds, job.workerId) &&
    within(job.createTime, filter.createTimeFrom, filter.createTimeBefore) &&
    within(job.endTime, filter.endTimeFrom, filter.endTimeBefore)
  );
}

/** What a text that somebody typed means: {id}, or {list, value} for one more value of a filter. */
export function meaning(text, types) {
  const word = text.trim();
  if (!word) return null;
  if (isUuid(word)) return { id: word.toLowerCase() };
  if (/^[a-z0-9][a-z0-9._/-]*=/.test(word)) return { list: "labels", value: word };
  if (types.includes(word)) return { list: "types", value: word };
  if (/^[A-Z][A-Z0-9_]*$/.test(word)) return { list: "errorReasons", value: word };
  if (/^[^\s/]+\/[0-9a-f-]+$/i.test(word)) return { list: "workerIds", value: word };
  if (/^[a-z0-9][a-z0-9._/-]*$/.test(word)) return { list: "labelKeys", value: word };
  return {
    problem: "Write an id, a type, a label (key=value or key), an error reason (TIMEOUT) or a worker's id.",
  };
}
