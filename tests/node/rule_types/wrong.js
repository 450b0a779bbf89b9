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
    cellToModel: { 1: { nam: "a" }, 2: "b" }, // wrong: 2561 2322
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

Objectives.Home = Objectives.Search; // wrong: 2542
constants.MINE = "x"; // wrong: 2339

/** @type {Rules} */
export default [
  { objective: Objectives.Home, defaultModel: { name: "ranker" }, modelTyp: "RANKER" }, // wrong: 2322
];
