// The form that submits a job.
//
// Its elements are made once: what somebody types stays, whatever the page shows meanwhile.

import { call, get } from "../api.js";
import { h } from "../dom.js";
import { JobOptions } from "./job_options.js";
import { schemaForm } from "./schema_form.js";

export class SubmitForm {
  key = ""; // The idempotency key of the job that is being submitted.
  problem = h("div", { role: "alert" });
  payload = h("div", { class: "field" });
  json = h(
    "textarea",
    { id: "payload", rows: "9", spellcheck: "false", "aria-describedby": "payload-hint" },
    "{}",
  );
  options = new JobOptions();

  /** `type` is an entry of GET /types. With a `payloadSchema`, the form has a field for each property. */
  constructor(type, types, navigate) {
    Object.assign(this, { type, navigate });
    this.fields = type.payloadSchema ? schemaForm(type.payloadSchema) : null;
    this.hasFields = Boolean(this.fields);
    this.element = this.empty();
    this.element.append(
      h("header", {}, h("h2", {}, "Submit a job"), h("div", { class: "end" }, this.typeSelect(types))),
      this.form(),
    );
    this.showPayload();
  }

  /** For the view. The element itself only once: a view that has it already keeps it. */
  node() {
    return this.element.isConnected ? this.empty() : this.element;
  }

  empty() {
    return h("section", { class: "card", key: `form ${this.type.type}`, opaque: true });
  }

  typeSelect(types) {
    const choose = (event) => this.navigate(`/ui/types/${encodeURIComponent(event.target.value)}`);
    const options = types.map((name) => h("option", { value: name }, name));
    return h("select", { "aria-label": "Type of the job", value: this.type.type, onchange: choose }, options);
  }

  form() {
    const onsubmit = (event) => {
      event.preventDefault();
      this.submit();
    };
    const onkeydown = (event) => event.key === "Enter" && event.ctrlKey && this.submit();
    const fill = { class: "button plain", type: "button", onclick: this.fill };
    return h(
      "form",
      { class: "body fields", onsubmit, onkeydown },
      this.payload,
      this.options.element,
      this.problem,
      h(
        "div",
        { class: "head" },
        h("button", { class: "button main", type: "submit" }, "Submit"),
        h("button", fill, "Fill in the latest job's payload"),
      ),
    );
  }

  showPayload() {
    const hint = "A JSON object: what the handler gets. Ctrl and Enter submit.";
    this.payload.replaceChildren(
      h(
        "div",
        { class: "head", style: { "min-height": "0" } },
        h(
          this.hasFields ? "span" : "label",
          { class: "label", for: this.hasFields ? null : "payload" },
          "Payload",
        ),
        this.fields ? this.tabs() : "",
      ),
      ...(this.hasFields
        ? [this.fields.element]
        : [this.json, h("span", { class: "soft small", id: "payload-hint" }, hint)]),
    );
  }

  tabs() {
    const tab = (name, hasFields) => {
      const isPressed = String(this.hasFields === hasFields);
      return h(
        "button",
        { type: "button", "aria-pressed": isPressed, onclick: () => this.turn(hasFields) },
        name,
      );
    };
    return h("span", { class: "tabs end" }, tab("Fields", true), tab("JSON", false));
  }

  /** Show the same payload in the other way. */
  turn(hasFields) {
    if (hasFields === this.hasFields) return;
    this.tell("");
    try {
      if (hasFields) this.fields.fill(parsed(this.json.value));
      else this.json.value = JSON.stringify(this.fields.value(), null, 2);
    } catch (error) {
      this.tell(error.message);
      return;
    }
    this.hasFields = hasFields;
    this.showPayload();
  }

  fill = async () => {
    const query = { types: [this.type.type], pageSize: 1 };
    const { jobs } = await get("/jobs", query).catch(() => ({ jobs: [] }));
    this.tell(jobs.length ? "" : `There is no ${this.type.type} job yet.`);
    if (!jobs.length) return;
    if (this.hasFields) this.fields.fill(jobs[0].payload);
    else this.json.value = JSON.stringify(jobs[0].payload, null, 2);
  };

  async submit() {
    this.tell("");
    try {
      const payload = this.hasFields ? this.fields.value() : parsed(this.json.value);
      const body = { type: this.type.type, payload, ...this.options.value() };
      // The same key for each try, so that two clicks, or a try after a lost answer, make one job.
      this.key ||= randomKey();
      const job = await call("POST", "/jobs", { body, headers: { "idempotency-key": this.key } });
      this.navigate(`/ui/jobs/${job.id}`);
    } catch (error) {
      if (error.status) this.key = "";
      this.tell(error.message);
    }
  }

  tell(text) {
    this.problem.replaceChildren(text ? h("div", { class: "callout bad" }, text) : "");
  }
}

function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
}

function parsed(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`The payload is not JSON: ${error.message}`);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Error('The payload must be a JSON object, such as {"input": "hello"}.');
  }
  return value;
}
