// @ts-check
/** JSON Schema, as people read it. */

/** @typedef {Record<string, any>} Schema */

/**
 * @typedef {object} Field
 * @property {string} name dots and brackets say where it is: `files[].url`
 * @property {string} kind
 * @property {string} description
 * @property {boolean} required
 */

const DEEPEST = 4;

export class Schemas {
  /** @param {Record<string, Schema>} named by their references' last part */
  constructor(named) {
    this.named = named;
  }

  /**
   * What a reference means; whatever stands beside it goes before.
   * @param {Schema} schema
   * @returns {Schema}
   */
  meant(schema) {
    if (typeof schema.$ref !== "string") return schema;
    const { $ref, ...beside } = schema;
    return { ...this.named[$ref.slice($ref.lastIndexOf("/") + 1)], ...beside };
  }

  /**
   * The choices that a schema leaves, less null.
   * @param {Schema} schema
   * @returns {Schema[]}
   */
  choices(schema) {
    const found = this.meant(schema);
    const several = found.anyOf ?? (found.properties ? null : found.oneOf);
    if (!several) return [found];
    return several.flatMap((/** @type {Schema} */ one) => this.choices(one)).filter((/** @type {Schema} */ one) => one.type !== "null");
  }

  /**
   * In a few words.
   * @param {Schema} schema
   * @returns {string}
   */
  kind(schema) {
    const found = this.meant(schema);
    const words = [...new Set(this.choices(found).map((one) => this.word(one)))].join(" or ");
    const standard = found.default === undefined || found.default === null ? "" : `, else ${JSON.stringify(found.default)}`;
    return `${words}${standard}`;
  }

  /**
   * @param {Schema} schema
   * @returns {string}
   */
  word(schema) {
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (Array.isArray(schema.enum)) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
    if (schema.type === "array") return `list of ${this.kind(schema.items ?? {})}`;
    if (schema.type === "object") return "object";
    const type = schema.format === "binary" ? "bytes" : (schema.type ?? "any");
    return `${type}${bounds(schema)}`;
  }

  /**
   * All fields, those of objects in objects too.
   * @param {Schema} schema
   * @param {string} [at]
   * @param {number} [deep]
   * @returns {Field[]}
   */
  fields(schema, at = "", deep = 0) {
    if (deep > DEEPEST) return [];
    /** @type {Map<string, Field>} */
    const found = new Map();
    for (const one of this.choices(schema)) {
      if (one.type === "array") {
        for (const field of this.fields(one.items ?? {}, `${at}[]`, deep)) found.set(field.name, field);
      }
      if (one.additionalProperties && typeof one.additionalProperties === "object") {
        for (const field of this.fields(one.additionalProperties, at ? `${at}.*` : "*", deep + 1)) found.set(field.name, field);
      }
      for (const [key, value] of Object.entries(one.properties ?? {})) {
        const name = at ? `${at}.${key}` : key;
        const description = value.description ?? this.choices(value.items ?? value)[0]?.description ?? "";
        found.set(name, { name, kind: this.kind(value), description, required: (one.required ?? []).includes(key) });
        for (const field of this.fields(value, name, deep + 1)) found.set(field.name, field);
      }
    }
    return [...found.values()];
  }

  /**
   * A value that fits, with as little as must be there.
   * @param {Schema} schema
   * @param {number} [deep]
   * @returns {any}
   */
  sample(schema, deep = 0) {
    const whole = this.meant(schema);
    if (whole.examples?.length) return whole.examples[0];
    const one = this.choices(whole)[0] ?? {};
    if (one.examples?.length) return one.examples[0];
    if (one.const !== undefined) return one.const;
    if (one.enum) return one.enum[0];
    if (one.default !== undefined && one.default !== null) return one.default;
    if (one.type === "array") return deep > DEEPEST ? [] : [this.sample(one.items ?? {}, deep + 1)];
    if (one.type === "object" || one.properties) return this.object(one, deep);
    if (one.type === "integer" || one.type === "number") return one.minimum ?? 1;
    if (one.type === "boolean") return true;
    return "string";
  }

  /**
   * @param {Schema} schema
   * @param {number} deep
   */
  object(schema, deep) {
    if (deep > DEEPEST) return {};
    const first = (schema.allOf ?? []).flatMap((/** @type {Schema} */ rule) => (rule.oneOf ?? rule.anyOf)?.[0]?.required ?? []);
    const must = [...(schema.required ?? []), ...first];
    return Object.fromEntries(must.map((key) => [key, this.sample(schema.properties?.[key] ?? {}, deep + 1)]));
  }
}

/**
 * @param {Schema} schema
 * @returns {string}
 */
function bounds(schema) {
  const least = schema.minimum ?? (schema.exclusiveMinimum === undefined ? undefined : `over ${schema.exclusiveMinimum}`);
  const most = schema.maximum ?? schema.exclusiveMaximum;
  if (least !== undefined && most !== undefined) return ` ${least} to ${most}`;
  if (least !== undefined) return typeof least === "string" ? ` ${least}` : ` from ${least}`;
  if (most !== undefined) return ` to ${most}`;
  return schema.maxLength === undefined ? "" : `, up to ${schema.maxLength} characters`;
}
