// `when`: conditions as rule authors write them, made into plain frozen data of the shape of condition.proto. Evaluated once in the
// global object of each rule file, before the file. What is made here is checked by `native.made` when it is made, so
// that a mistake is told where it stands, and once more when the rule is read: nothing rests on this script.
((native) => {
  "use strict";
  const { defineProperty, freeze, hasOwn } = Object;
  const isArray = Array.isArray;
  const stringify = JSON.stringify;
  const ProxyOf = Proxy;

  // A rule file may change what arrays and objects can do, for itself, also what happens when something is assigned; so
  // nothing here asks them for it.
  const push = (list, value) =>
    defineProperty(list, list.length, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  const append = (list, more) => {
    for (let i = 0; i < more.length; ++i) push(list, more[i]);
    return list;
  };

  // Whatever is asked for that is not there is a mistake of spelling; without this it would be `undefined`, and fail elsewhere.
  // The language itself asks for some names, whatever the object.
  const strict = (target, what) => {
    const names = [];
    for (const name in target) if (name !== "field") push(names, name);
    const refuse = () => native.refuseChange(what);
    const get = (own, name) => {
      if (typeof name === "symbol" || hasOwn(own, name)) return own[name];
      if (name === "then" || name === "toJSON" || name === "valueOf") return undefined;
      return name === "toString" ? () => what : native.unknown(what, name, names);
    };
    return new ProxyOf(freeze(target), {
      __proto__: null,
      get,
      set: refuse,
      defineProperty: refuse,
      deleteProperty: refuse,
      setPrototypeOf: refuse,
    });
  };

  // The data stands behind the methods and not among them, where `not` would be either.
  const made = (what, data) => native.made(what, methods, data);
  const combined = (what, kind, operands) => native.combined(what, methods, kind, operands);

  const methods = freeze({
    __proto__: strict({ __proto__: null, and: null, or: null, not: null }, "a condition"),
    and(...others) {
      return combined("and", "all", append([this], others));
    },
    or(...others) {
      return combined("or", "any", append([this], others));
    },
    not() {
      return made("not", { not: this });
    },
    toJSON() {
      return native.dataOf(this);
    },
    toString() {
      return stringify(this);
    },
  });

  // `in('US', 'CA')` and `in(['US', 'CA'])` are the same.
  const listed = (values) => (values.length === 1 && isArray(values[0]) ? append([], values[0]) : values);
  const anyOf = (tests) => (tests.length === 1 ? tests[0] : { any: { conditions: tests } });

  // What every field can be asked. `one(value)` is the test that it is equal to a value that is no text, or nothing.
  const equality = (words, field, one) => {
    const isIn = (values) => {
      const texts = [];
      const tests = [];
      for (let i = 0; i < values.length; ++i) {
        const test = one(values[i]);
        if (test) push(tests, { field: { field, ...test } });
        else push(texts, typeof values[i] === "boolean" ? `${values[i]}` : values[i]);
      }
      if (texts.length > 0 || tests.length === 0) push(tests, { field: { field, in: { texts } } });
      return anyOf(tests);
    };
    const is = (what, values) => made(`${words}.${what}`, isIn(values));
    const isNot = (what, values) => made(`${words}.${what}`, { not: isIn(values) });
    return {
      is: (value) => is("is", [value]),
      isNot: (value) => isNot("isNot", [value]),
      in: (...values) => is("in", listed(values)),
      notIn: (...values) => isNot("notIn", listed(values)),
    };
  };

  const texts = (words, field) => ({
    startsWith: (...values) => made(`${words}.startsWith`, { field: { field, prefix: { texts: listed(values) } } }),
    matches: (pattern) =>
      made(`${words}.matches`, { field: { field, regex: native.pattern(`${words}.matches`, pattern) } }),
    exists: () => made(`${words}.exists`, { field: { field, present: {} } }),
  });

  // `kind`: "number" or "version".
  const ranges = (words, field, kind) => {
    const range = (what, limits) => made(`${words}.${what}`, { field: { field, [kind]: limits } });
    const given = (what, value) => native.given(`${words}.${what}`, kind, value);
    return {
      atLeast: (min) => range("atLeast", { min: given("atLeast", min) }),
      above: (min) => range("above", { min: given("above", min), excludes_min: true }),
      atMost: (max) => range("atMost", { max: given("atMost", max) }),
      below: (max) => range("below", { max: given("below", max), excludes_max: true }),
      between: (min, max) => range("between", { min: given("between", min), max: given("between", max) }),
    };
  };

  const text = (words, field) => {
    const tests = { __proto__: null, ...equality(words, field, () => null), ...texts(words, field) };
    return withField(tests, field, words);
  };
  const attribute = (name) => {
    native.attribute("when.attribute", name);
    const words = `when.attribute('${name}')`;
    const isNumber = (value) => (typeof value === "number" ? { number: { min: value, max: value } } : null);
    const tests = {
      __proto__: null,
      ...equality(words, name, isNumber),
      ...texts(words, name),
      ...ranges(words, name, "number"),
    };
    return withField(tests, name, words);
  };
  const appVersion = () => {
    const words = "when.appVersion";
    const isVersion = (value) => ({ version: { min: value, max: value } });
    const tests = {
      __proto__: null,
      ...equality(words, "app_version", isVersion),
      ...texts(words, "app_version"),
      ...ranges(words, "app_version", "version"),
    };
    return withField(tests, "app_version", words);
  };
  const segments = () => {
    const words = "when.segments";
    const has = (value) => ({ field: { field: "segments", in: { texts: [value] } } });
    const tests = {
      __proto__: null,
      has: (value) => made(`${words}.has`, has(value)),
      hasAny: (...values) => made(`${words}.hasAny`, { field: { field: "segments", in: { texts: listed(values) } } }),
      hasAll: (...values) => {
        const given = listed(values);
        const conditions = [];
        for (let i = 0; i < given.length; ++i) push(conditions, has(given[i]));
        return made(`${words}.hasAll`, { all: { conditions } });
      },
      ...texts(words, "segments"),
    };
    return withField(tests, "segments", words);
  };
  // A field that stands where a condition is expected is known by this key.
  const withField = (tests, field, words) => strict({ ...tests, __proto__: null, field }, words);

  const millis = (what, moment) => native.millis(`when.time.${what}`, moment);
  const time = strict(
    {
      __proto__: null,
      from: (start) => made("when.time.from", { time: { from_unix_ms: millis("from", start) } }),
      until: (end) => made("when.time.until", { time: { to_unix_ms: millis("until", end) } }),
      between: (start, end) =>
        made("when.time.between", { time: { from_unix_ms: millis("between", start), to_unix_ms: millis("between", end) } }),
      weekly: (window) => made("when.time.weekly", { weekly: native.weekly("when.time.weekly", window) }),
    },
    "when.time",
  );

  return strict(
    {
      __proto__: null,
      user: text("when.user", "user"),
      country: text("when.country", "country"),
      locale: text("when.locale", "locale"),
      device: text("when.device", "device"),
      surface: text("when.surface", "surface"),
      tenant: text("when.tenant", "tenant"),
      trafficType: text("when.trafficType", "traffic_type"),
      appVersion: appVersion(),
      segments: segments(),
      attribute,
      time,
      all: (...conditions) => combined("when.all", "all", conditions),
      any: (...conditions) => combined("when.any", "any", conditions),
      not: (condition) => made("when.not", { not: condition }),
    },
    "when",
  );
})
