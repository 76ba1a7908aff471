// Fields made from a JSON Schema of an object.
//
// Text, numbers, yes or no, a choice (enum), and objects of these have fields. Anything else is written as
// JSON.

import { h } from "../dom.js";

let ids = 0;

/** `element`; `value()`, which raises Error for what is not acceptable; `fill(value)`. */
export function schemaForm(schema) {
  const form = objectField(resolved(schema, schema), schema);
  return { ...form, element: h("div", { class: "fields schema" }, form.element) };
}

function objectField(schema, root, depth = 0) {
  const required = new Set(schema.required ?? []);
  const parts = Object.entries(schema.properties ?? {}).map(([name, each]) => [
    name,
    field(name, resolved(each, root), root, required.has(name), depth),
  ]);
  return {
    element: h(
      "div",
      { class: "fields" },
      parts.length
        ? parts.map(([, part]) => part.element)
        : h("p", { class: "soft" }, "The payload has no fields."),
    ),
    value() {
      const pairs = parts
        .map(([name, part]) => [name, part.value()])
        .filter(([, value]) => value !== undefined);
      return Object.fromEntries(pairs);
    },
    fill: (value) => parts.forEach(([name, part]) => part.fill(value?.[name])),
  };
}

function field(name, schema, root, isRequired, depth) {
  const id = `field-${(ids += 1)}`;
  if (schema.type === "object" && schema.properties && depth < 3) return nested(name, schema, root, depth);
  const kind = kindOf(schema);
  const input = kind.input(schema, id);
  if (schema.default !== undefined) kind.write(input, schema.default);
  const title = `${schema.title ?? name}${isRequired ? "" : " (optional)"}`;
  return {
    element: h(
      "div",
      { class: "field" },
      h("label", { for: id }, title),
      input,
      schema.description && h("span", { class: "soft small" }, schema.description),
    ),
    value() {
      const value = kind.read(input, name);
      input.setAttribute("aria-invalid", String(value === undefined && isRequired));
      if (value === undefined && isRequired) throw new Error(`${name} is required.`);
      return value;
    },
    fill: (value) => kind.write(input, value),
  };
}

function nested(name, schema, root, depth) {
  const inner = objectField(schema, root, depth + 1);
  return { ...inner, element: h("fieldset", {}, h("legend", {}, schema.title ?? name), inner.element) };
}

const CHOICE = {
  input: (schema, id) =>
    h(
      "select",
      { id },
      h("option", { value: "" }, "–"),
      schema.enum.map((each) => h("option", { value: JSON.stringify(each) }, String(each))),
    ),
  read: (input) => (input.value ? JSON.parse(input.value) : undefined),
  write: (input, value) => (input.value = value === undefined ? "" : JSON.stringify(value)),
};
const TEXT = {
  input: (schema, id) =>
    schema.maxLength > 200 ? h("textarea", { id, rows: "4" }) : h("input", { type: "text", id }),
  read: (input) => (input.value === "" ? undefined : input.value),
  write: (input, value) => (input.value = value ?? ""),
};
const NUMBER = {
  input: (schema, id) =>
    h("input", {
      type: "number",
      id,
      min: schema.minimum,
      max: schema.maximum,
      step: schema.type === "integer" ? "1" : "any",
    }),
  read: (input) => (input.value === "" ? undefined : Number(input.value)),
  write: (input, value) => (input.value = value ?? ""),
};
const YES_OR_NO = {
  input: (_, id) => h("input", { type: "checkbox", id }),
  read: (input) => input.checked,
  write: (input, value) => (input.checked = Boolean(value)),
};
const JSON_TEXT = {
  input: (_, id) => h("textarea", { id, rows: "3", spellcheck: "false", placeholder: "JSON" }),
  read(input, name) {
    if (!input.value.trim()) return undefined;
    try {
      return JSON.parse(input.value);
    } catch (error) {
      throw new Error(`${name} is not JSON: ${error.message}`);
    }
  },
  write: (input, value) => (input.value = value === undefined ? "" : JSON.stringify(value, null, 2)),
};

function kindOf({ enum: choices, type }) {
  if (choices) return CHOICE;
  return { string: TEXT, number: NUMBER, integer: NUMBER, boolean: YES_OR_NO }[type] ?? JSON_TEXT;
}

/** The schema itself, where it is a reference into the same document. */
function resolved(schema, root) {
  const path =
    typeof schema?.$ref === "string" && schema.$ref.startsWith("#/") ? schema.$ref.slice(2).split("/") : null;
  const target = path?.reduce((part, name) => part?.[name.replaceAll("~1", "/").replaceAll("~0", "~")], root);
  return target ? { ...target, ...schema } : (schema ?? {});
}
