// The rules of a team that owns two rows of a home page, as functions: Objectives, fallbacks, a test of parameters, a canary.

const rankers = {
  stable: { name: "home-ranker", version: "2026-03" },
  candidate: { name: "home-ranker", version: "2026-04" },
  popular: { name: "popular-titles" },
};

/** @returns {ObjectiveRule} */
function defineTopPicksRule() {
  return {
    objective: Objectives.TopPicksRanking,
    defaultModel: rankers.stable,
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: "RANKER",
    parameters: { slateSize: 40 },
  };
}

/** @returns {ObjectiveRule} */
function defineBecauseYouWatchedRule() {
  return {
    objective: Objectives.BecauseYouWatchedRanking,
    defaultModel: rankers.stable,
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: "RANKER",
  };
}

// Whatever happens, the rows are not empty.
/** @returns {FallbackRule} */
function defineHomeFallbackRule() {
  return {
    targetObjectives: [Objectives.TopPicksRanking, Objectives.BecauseYouWatchedRanking],
    fallbackModels: [rankers.popular],
  };
}

// One user in five takes part; the cells differ in a parameter alone, so all of them use the default model.
/** @returns {ExperimentRule} */
function defineAB31415Rule() {
  return {
    abTestId: 31415,
    targetObjectives: Objectives.TopPicksRanking,
    allocationPercentage: 20,
    cellParameters: {
      control: { exploration: 0 },
      some: { exploration: 0.05 },
      more: { exploration: 0.1 },
    },
    cellWeights: { control: 0.5, some: 0.25, more: 0.25 },
    modelInputType: constants.TITLE_INPUT_TYPE,
  };
}

// The canary of the next version, on both rows at once. Raise the percentage step by step.
/** @returns {TrafficShiftRule} */
function defineHomeCanaryRule() {
  return {
    trafficShiftId: "home-ranker-2026-04",
    targetObjectives: [Objectives.TopPicksRanking, Objectives.BecauseYouWatchedRanking],
    fromModel: rankers.stable,
    toModel: rankers.candidate,
    percentage: 1,
  };
}
