// The row of half-watched titles. Three versions of the ranker are compared in an A/B test: every user is in one cell
// and stays there.

function defineContinueWatchingRule() {
  return {
    objective: Objectives.ContinueWatchingRanking,
    defaultModel: {name: 'title-ranker', version: '1'},
    // Asked when no host of the chosen model can be reached.
    fallbackModels: [{name: 'title-ranker', version: '2'}],
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: 'RANKER',
  };
}

function defineRankerTestRule() {
  return {
    abTestId: 12345,
    targetObjectives: [Objectives.ContinueWatchingRanking],
    cellToModel: {
      1: {name: 'title-ranker', version: '1'},
      2: {name: 'title-ranker', version: '2'},
      3: {name: 'title-ranker', version: '3'},
    },
    cellWeights: {1: 0.5, 2: 0.25, 3: 0.25},
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: 'RANKER',
  };
}
