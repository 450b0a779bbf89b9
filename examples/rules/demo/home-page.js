// The home page's ranking. A gradual rollout of version 3 waits beside these rules: ../demo-canary/*.js.

function defineHomePageRule() {
  return {
    objective: Objectives.HomePageRanking,
    defaultModel: {name: 'title-ranker', version: '2'},
    fallbackModels: [{name: 'title-ranker', version: '1'}],
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: 'RANKER',
    // Reaches the model with every request: it mixes the genres a little.
    parameters: {genre_diversity: '0.2'},
  };
}
