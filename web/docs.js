// @ts-check
/** The page at `/docs`: the OpenAPI document, to be read. */

import { Schemas } from "./schema.js";

/** @typedef {Record<string, any>} Json */

const routes = element("routes");
const contents = element("contents");
const state = element("state");
/** @type {{text: string, parts: HTMLElement[]}[]} */
const searched = [];
/** @type {{parts: HTMLElement[], list: HTMLElement}[]} */
const chapters = [];
const here = new URL(".", location.href).href.replace(/\/$/, "");
let address = here;
/** @type {Json} */
let schemes = {};

try {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`it answered ${response.status}`);
  show(await response.json());
  state.remove();
} catch (error) {
  state.textContent = `The document cannot be read: ${error instanceof Error ? error.message : error}.`;
}

/** @param {Json} told */
function show(told) {
  element("version").textContent = told.info.version;
  address = told.servers?.[0]?.url ?? here;
  schemes = told.components.securitySchemes;
  const schemas = new Schemas(told.components.schemas);
  routes.append(prose(told.info.description));
  for (const tag of told.tags) {
    const operations = Object.entries(told.paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([, said]) => said.tags.includes(tag.name))
        .map(([method, said]) => ({ path, method, said })),
    );
    const list = make("ul");
    const section = make("section", { "aria-label": tag.name }, make("h2", {}, tag.name), prose(tag.description));
    for (const { path, method, said } of operations) {
      const link = make("a", { href: `#${said.operationId}` }, make("span", { class: "method", "data-method": method }, method), ` ${path}`);
      const entry = make("li", {}, link);
      const shown = operation(path, method, said, schemas);
      section.append(shown);
      list.append(entry);
      searched.push({ text: shown.textContent?.toLowerCase() ?? "", parts: [shown, entry] });
    }
    const chapter = make("div", {}, make("h2", {}, tag.name), list);
    contents.append(chapter);
    routes.append(section);
    chapters.push({ parts: [section, chapter], list });
  }
  open();
}

// ---- one route

/**
 * @param {string} path
 * @param {string} method
 * @param {Json} said
 * @param {Schemas} schemas
 */
function operation(path, method, said, schemas) {
  const inside = make("div", { class: "inside" });
  if (said.description) inside.append(prose(said.description));
  if (said.security) inside.append(prose(keys(said)));
  if (said.parameters) inside.append(make("h4", {}, "Parameters"), parameters(said.parameters, schemas));
  for (const [media, content] of Object.entries(said.requestBody?.content ?? {})) {
    inside.append(make("h4", {}, "Body, as ", make("code", {}, media)), table(schemas.fields(content.schema ?? {})));
  }
  inside.append(make("h4", {}, "Answers"), make("div", {}, ...Object.entries(said.responses).map(([status, one]) => answer(status, one, schemas))));
  inside.append(make("h4", {}, "From a shell"), make("pre", { tabindex: "0" }, curl(path, method, said, schemas)));
  const summary = make(
    "summary",
    {},
    make("span", { class: "method", "data-method": method }, method),
    make("code", {}, path),
    make("span", { class: "what" }, said.summary),
  );
  return make("details", { class: "panel operation", id: said.operationId }, summary, inside);
}

/**
 * What is to be shown, in words.
 *
 * @param {Json} said
 */
function keys(said) {
  if (said.security.some((/** @type {Json} */ one) => Object.keys(one).length === 0)) return "This deployment asks for no API key.";
  const ways = said.security.map((/** @type {Json} */ one) => `\`${way(one)}\``);
  return `Asks for a key: ${ways.join(", ").replace(/, (?=[^,]*$)/, " or ")}.`;
}

/**
 * One way to show a key, as it is written.
 *
 * @param {Json} named
 */
function way(named) {
  const scheme = schemes[Object.keys(named)[0] ?? ""];
  if (scheme.type === "http") return "Authorization: Bearer KEY";
  return scheme.in === "query" ? `?${scheme.name}=KEY` : `${scheme.name}: KEY`;
}

/**
 * @param {Json[]} told
 * @param {Schemas} schemas
 */
function parameters(told, schemas) {
  return table(
    told.map((one) => ({
      name: one.name,
      kind: `${schemas.kind(one.schema)}, in the ${one.in}`,
      description: one.description ?? "",
      required: one.required,
    })),
  );
}

/**
 * @param {string} status
 * @param {Json} told
 * @param {Schemas} schemas
 */
function answer(status, told, schemas) {
  const says = make("div", {}, prose(told.description));
  for (const [name, header] of Object.entries(told.headers ?? {})) {
    says.append(make("p", { class: "media" }, "Header ", make("code", {}, name), `: ${header.description}`));
  }
  for (const [media, content] of Object.entries(told.content ?? {})) {
    const fields = schemas.fields(content.schema ?? {});
    const label = [make("code", {}, media), content.schema?.description && !fields.length ? `: ${content.schema.description}` : ""];
    says.append(fields.length ? make("details", {}, make("summary", {}, ...label), table(fields)) : make("p", { class: "media" }, ...label));
  }
  return make("div", { class: "answer" }, make("code", {}, status), says);
}

/** @param {import("./schema.js").Field[]} fields */
function table(fields) {
  const rows = fields.map((field) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, make("code", {}, field.name), field.required ? make("span", { class: "must" }, " required") : ""),
      make("td", { class: "kind" }, field.kind),
      make("td", {}, ...inline(field.description)),
    ),
  );
  return make("div", { class: "scroll" }, make("table", { class: "fields" }, make("tbody", {}, ...rows)));
}

/**
 * @param {string} path
 * @param {string} method
 * @param {Json} said
 * @param {Schemas} schemas
 */
function curl(path, method, said, schemas) {
  const url = address + path.replaceAll(/\{(\w+)\}/g, (_, name) => name.toUpperCase());
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${url}`];
  const asked = said.security?.every((/** @type {Json} */ one) => Object.keys(one).length > 0);
  if (asked) lines.push(`-H ${quoted(way(said.security[0]))}`);
  const body = said.requestBody?.content ?? {};
  if (body["application/json"]) {
    lines.push(`-H ${quoted("Content-Type: application/json")}`, `-d ${quoted(JSON.stringify(schemas.sample(body["application/json"].schema)))}`);
  } else if (body["multipart/form-data"]) {
    const fields = schemas.fields(body["multipart/form-data"].schema).filter((field) => field.required);
    lines.push(...fields.map((field) => `-F ${field.name}=${field.kind.startsWith("bytes") ? "@FILE" : "..."}`));
  }
  const sound = Object.keys(said.responses["200"]?.content ?? {}).some((media) => media.startsWith("audio/"));
  if (sound) lines.push("-o speech");
  return lines.join(" \\\n  ");
}

/** @param {string} text */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// ---- finding one

element("filter").addEventListener("input", (event) => {
  const wanted = /** @type {HTMLInputElement} */ (event.target).value.trim().toLowerCase();
  for (const { text, parts } of searched) for (const part of parts) part.hidden = !text.includes(wanted);
  for (const { parts, list } of chapters) {
    const empty = [...list.children].every((entry) => /** @type {HTMLElement} */ (entry).hidden);
    for (const part of parts) part.hidden = empty;
  }
});

addEventListener("hashchange", open);

/** The route that the address names. */
function open() {
  const found = document.getElementById(location.hash.slice(1));
  if (found instanceof HTMLDetailsElement) {
    found.open = true;
    found.scrollIntoView();
  }
}

// ---- elements

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** @param {string} text paragraphs, with code between backticks */
function prose(text) {
  return make("div", { class: "prose" }, ...text.split(/\n\s*\n/).map((one) => make("p", {}, ...inline(one.trim()))));
}

/**
 * @param {string} text
 * @returns {(Node | string)[]}
 */
function inline(text) {
  return text.split(/``?/).map((part, index) => (index % 2 ? make("code", {}, part) : part));
}
