// Forms out of JSON Schema. What a form cannot show, a field for JSON can; whether it fits, the server says.

import { element, prose } from "./dom.js";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const COMPOSED = ["allOf", "anyOf", "oneOf", "$ref"];
/** Longer texts get more than one line. */
const ONE_LINE = 256;

/**
 * The form of a tool's input schema.
 *
 * `read()` gives the arguments, or null if a field for JSON holds none; `mark(errors)` shows the server's errors
 * (`{pointer, detail}`) at their fields; `focusInvalid()` goes to the first field that is marked.
 */
export function formOf(schema, { resolve, id }) {
  const root = resolve(schema);
  const isPlain = root.properties !== undefined && !COMPOSED.some((keyword) => keyword in root);
  const isRequired = (name) => root.required?.includes(name) ?? false;
  const own = ([name, property]) =>
    fieldOf({ name, id: `${id}-${name}`, schema: resolve(property), isRequired: isRequired(name), resolve });
  const fields = isPlain ? Object.entries(root.properties).map(own) : [wholeOf(root, `${id}-arguments`)];
  const unmark = () => fields.forEach((field) => field.mark(""));

  return {
    elements: fields.map((field) => field.element),
    read() {
      unmark();
      const values = fields.map((field) => [field, field.read()]);
      if (values.some(([, value]) => value.failed)) return null;
      if (!isPlain) return values[0][1].value ?? {};
      const given = values.filter(([, read]) => "value" in read);
      return Object.fromEntries(given.map(([field, read]) => [field.name, read.value]));
    },
    mark(errors) {
      unmark();
      for (const field of fields) {
        const isOwn = ({ pointer, detail }) =>
          nameIn(pointer) === field.name || (pointer === "" && detail.includes(`\`${field.name}\``));
        field.mark(errors.filter((error) => !isPlain || isOwn(error)).map(({ detail }) => detail).join("; "));
      }
    },
    focusInvalid() {
      fields.find((field) => field.isMarked())?.focus();
    },
  };
}

/** The first name in a JSON pointer. */
function nameIn(pointer) {
  return pointer.split("/")[1]?.replaceAll("~1", "/").replaceAll("~0", "~");
}

function fieldOf({ name, id, schema: given, isRequired, resolve }) {
  const schema = withoutNull(given, resolve);
  const kind = kindOf(schema, resolve);
  const control = controlOf(kind, schema, id);
  const description = given.description ?? schema.description;
  return framed({ name, id, kind, schema: { ...schema, description }, isRequired, control });
}

/** One field for all arguments. */
function wholeOf(schema, id) {
  const control = element("textarea", { id, rows: 6, value: "{}", spellcheck: false });
  return framed({ name: "arguments", id, kind: "json", schema, isRequired: true, control });
}

/** A control with its label, its hints and a place for what is wrong. */
function framed({ name, id, kind, schema, isRequired, control }) {
  const hint = [schema.description, limits(kind, schema)].filter(Boolean).join(" ");
  const error = element("p", { className: "error", id: `${id}-error` });
  control.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
  if (isRequired && kind !== "boolean") control.setAttribute("aria-required", "true");
  const label = element("label", { htmlFor: id }, name);
  if (isRequired) label.append(" ", element("span", { className: "required" }, "required"));
  const hints = element("p", { className: "hint", id: `${id}-hint` }, ...prose(hint));
  const mark = (text) => {
    error.replaceChildren(...prose(text));
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  };
  const tick = () => element("div", { className: "tick" }, control, label);
  const parts = kind === "boolean" ? [tick(), hints, error] : [label, hints, control, error];
  return {
    name,
    element: element("div", { className: "field" }, ...parts),
    mark,
    isMarked: () => control.hasAttribute("aria-invalid"),
    focus: () => control.focus(),
    read() {
      try {
        return valueOf(kind, schema, control, isRequired);
      } catch (problem) {
        mark(`not JSON: ${problem.message}`);
        return { failed: true };
      }
    },
  };
}

/** A schema that may also be null: the field left empty says that. */
function withoutNull(schema, resolve) {
  const choices = (schema.anyOf ?? schema.oneOf)?.map(resolve);
  const others = choices?.filter((choice) => choice.type !== "null");
  if (others?.length === 1 && choices.length === 2) return { ...others[0], default: schema.default };
  if (!Array.isArray(schema.type)) return schema;
  const types = schema.type.filter((type) => type !== "null");
  return { ...schema, type: types.length === 1 ? types[0] : types };
}

function kindOf(schema, resolve) {
  if (schema.enum?.length > 0) return "choice";
  if (COMPOSED.some((keyword) => keyword in schema)) return "json";
  switch (schema.type) {
    case "boolean":
    case "string":
      return schema.type;
    case "integer":
    case "number":
      return "number";
    case "array": {
      const items = schema.items && resolve(schema.items);
      const isSimple = ["string", "number", "integer"].includes(items?.type) && !items.enum;
      return isSimple ? (items.type === "string" ? "strings" : "numbers") : "json";
    }
    default:
      return "json";
  }
}

function controlOf(kind, schema, id) {
  const placeholder = schema.default === undefined || schema.default === null ? "" : String(schema.default);
  switch (kind) {
    case "boolean":
      return element("input", { id, type: "checkbox", checked: schema.default === true });
    case "choice": {
      const options = schema.enum.map((choice) => element("option", { value: JSON.stringify(choice) }, String(choice)));
      return element("select", { id }, element("option", { value: "" }, ""), ...options);
    }
    case "number":
      return element("input", { id, type: "text", inputMode: "decimal", autocomplete: "off", placeholder });
    case "string":
      return schema.maxLength <= ONE_LINE
        ? element("input", { id, type: "text", autocomplete: "off", spellcheck: false, placeholder })
        : element("textarea", { id, rows: 2, placeholder });
    default:
      return element("textarea", { id, rows: 3, spellcheck: false });
  }
}

/** `{value}`, or `{}` for a field that was left empty. */
function valueOf(kind, schema, control, isRequired) {
  const text = control.value;
  const lines = () => text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const isEmpty = text.trim() === "";
  switch (kind) {
    case "boolean":
      return isRequired || control.checked !== (schema.default ?? false) ? { value: control.checked } : {};
    case "choice":
      return text === "" ? {} : { value: JSON.parse(text) };
    case "string":
      return text === "" && !isRequired ? {} : { value: text };
    case "number":
      return isEmpty ? {} : { value: numberOf(text.trim()) };
    case "strings":
      return isEmpty && !isRequired ? {} : { value: lines() };
    case "numbers":
      return isEmpty && !isRequired ? {} : { value: lines().map(numberOf) };
    default:
      return isEmpty ? {} : { value: JSON.parse(text) };
  }
}

/** What is no number is sent as it is: the server says what is wrong with it. */
function numberOf(text) {
  return NUMBER.test(text) ? Number(text) : text;
}

/** What the schema says about a value, in words. */
function limits(kind, schema) {
  const range = (low, high, unit) => {
    if (low !== undefined && high !== undefined) return `${low} to ${high}${unit}.`;
    if (high !== undefined) return `At most ${high}${unit}.`;
    return low === undefined ? "" : `At least ${low}${unit}.`;
  };
  switch (kind) {
    case "number":
      return range(schema.minimum, schema.maximum, "");
    case "string":
      return range(schema.minLength, schema.maxLength, " characters");
    case "strings":
    case "numbers":
      return `One on each line. ${range(schema.minItems, schema.maxItems, " lines")}`.trim();
    case "json":
      return "As JSON.";
    default:
      return "";
  }
}
