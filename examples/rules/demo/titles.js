// Which model ranks titles. Three versions are trained by `signalbox train`; version 1 knows least, version 3 most.
/** @returns {ObjectiveRule} */
function defineTitleRankingRule() {
  return {
    objective: Objectives.TitleRanking,
    defaultModel: { name: "title-ranker", version: 2 },
    fallbackModels: [{ name: "title-ranker", version: 1 }],
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: "RANKER",
  };
}

// Does learning to order pairs of films beat predicting ratings? Half of all users take part; the others stay with the
// default model.
/** @returns {ExperimentRule} */
function defineAB20261Rule() {
  return {
    abTestId: 20261,
    targetObjectives: Objectives.TitleRanking,
    allocationPercentage: 50,
    cellToModel: {
      1: { name: "title-ranker", version: 2 },
      2: { name: "title-ranker", version: 3 },
      3: { name: "title-ranker", version: 1 },
    },
    cellWeights: { 1: 0.45, 2: 0.45, 3: 0.1 },
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: "RANKER",
  };
}
