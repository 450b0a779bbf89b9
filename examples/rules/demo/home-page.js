// The home page's ranking. The steps of a gradual rollout of version 3 wait beside these rules, in ../demo-canary.
/** @returns {ObjectiveRule} */
function defineHomePageRankingRule() {
  return {
    objective: Objectives.HomePageRanking,
    defaultModel: { name: "title-ranker", version: 2 },
    fallbackModels: [{ name: "title-ranker", version: 1 }],
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: "RANKER",
    // Reaches the model with every request: it mixes the genres a little.
    parameters: { genre_diversity: "0.2" },
  };
}
