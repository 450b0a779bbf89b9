// What an editor has to find wrong in a rule file, each marked with TypeScript's number for it.

/** @returns {ObjectiveRule} */
export function defineMisspelledKeyRule() {
  return {
    objective: Objectives.Home,
    defaultModel: { name: "ranker" },
    falbackModels: [], // wrong: 2561
  };
}

/** @returns {ObjectiveRule} */
export function defineNoDefaultModelRule() {
  return { objective: Objectives.Home }; // wrong: 2741
}

/** @returns {ObjectiveRule} */
export function defineTextForObjectiveRule() {
  return {
    objective: "Home", // wrong: 2322
    defaultModel: "ranker", // wrong: 2322
    modelInputType: constants.TITEL_INPUT_TYPE, // wrong: 2551
  };
}

/** @returns {ExperimentRule} */
export function defineWrongCellsRule() {
  return {
    abTestId: 1,
    targetObjectives: [Objectives.Home, "Search"], // wrong: 2322
    cellToModel: { 1: { nam: "a" }, 2: "b" }, // wrong: 2353 2322
    cellWeights: { 1: "half" }, // wrong: 2322
  };
}

/** @returns {ExperimentRule} */
export function defineKeyOfAnotherKindRule() {
  return {
    abTestId: 1,
    targetObjectives: Objectives.Home,
    cellToModel: { 1: { name: "a" } },
    percentage: 5, // wrong: 2353
  };
}

/** @returns {TrafficShiftRule} */
export function defineTextForPercentageRule() {
  return {
    trafficShiftId: "canary",
    targetObjectives: Objectives.Home,
    toModel: { name: "new", version: true }, // wrong: 2322
    percentage: "10 %", // wrong: 2322
  };
}

/** @returns {ContextRule} */
export function defineWrongConditionsRule() {
  const conditions = [
    when.contry.is("US"), // wrong: 2551
    when.country.iss("US"), // wrong: 2339
    when.country.is(5), // wrong: 2345
    when.country.in(...["us", "ca"].map((name) => name.toUpperCase())),
    when.country.atLeast(5), // wrong: 2339
    when.appVersion.atLeast(4.2), // wrong: 2345
    when.attribute("age").above("18"), // wrong: 2345
    when.trafficType.is("shaddow"), // wrong: 2345
    when.country.is("US").and(true), // wrong: 2345
    when.time.weekly({ days: ["saturday"], from: "18:00", to: "23:00" }), // wrong: 2322
  ];
  return {
    contextRuleId: "wrong",
    targetObjectives: Objectives.Home,
    when: conditions, // wrong: 2739
    model: { ensemble: "mix", name: "ranker" },
  };
}

/** @returns {TrafficShiftRule} */
export function defineWrongScheduleRule() {
  return {
    trafficShiftId: "ramp",
    targetObjectives: Objectives.Home,
    toModel: { name: "new" },
    schedule: { start: "2026-01-01T00:00:00Z", steps: [{ percentage: 1, hold: "half an hour" }] }, // wrong: 2322
  };
}

/** @returns {EnsembleRule} */
export function defineWrongModeRule() {
  return {
    ensembleId: "mix",
    mode: "median", // wrong: 2820
    members: [{ name: "a" }, { ensemble: "other" }], // wrong: 2353
  };
}

when.country = when.device; // wrong: 2540
Objectives.Home = Objectives.Search; // wrong: 2542
constants.MINE = "x"; // wrong: 2339

/** @type {Rules} */
export default [
  { objective: Objectives.Home, defaultModel: { name: "ranker" }, modelTyp: "RANKER" }, // wrong: 2322
];
