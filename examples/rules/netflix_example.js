// The example that Netflix published ("State of Routing in Model Serving", 2026), as it stands there: an A/B test that
// chooses the model which ranks the "continue watching" row.
function defineAB12345Rule() {
  const abTestId = 12345;
  const objective = Objectives.ContinueWatchingRanking;
  const abTestCellToModel = {
    1: { name: "netflix-continue-watching-model-default" },
    2: { name: "netflix-continue-watching-model-cell-2" },
    3: { name: "netflix-continue-watching-model-cell-3" },
  };
  return {
    cellToModel: abTestCellToModel,
    abTestId: abTestId,
    targetObjectives: objective,
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: 'SCORER',
  };
}

// What the published excerpt leaves out: the Objective, and the model that answers whoever takes no part in the test.
function defineContinueWatchingRankingRule() {
  return {
    objective: Objectives.ContinueWatchingRanking,
    defaultModel: { name: "netflix-continue-watching-model-default" },
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: 'SCORER',
  };
}
