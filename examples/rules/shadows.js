// Shadows: copies of live requests go to a model whose answer is compared and never returned.

/** @type {Rules} */
export default [
  { objective: Objectives.ArrivalDelay, defaultModel: { name: "arrival-delay", version: 1 }, fallbackModels: [{ name: "arrival-mean" }] },
  {
    // The next version should say nearly the same: every number within a thousandth of the live one.
    shadowId: "arrival-delay-2",
    targetObjectives: Objectives.ArrivalDelay,
    model: { name: "arrival-delay", version: 2 },
    sampleRate: 10,
    compare: { tolerance: 1e-6, relative: 1e-3 },
  },
  { objective: Objectives.TitleRanking, defaultModel: { name: "title-ranker", version: 2 }, fallbackModels: [{ name: "popular-titles" }] },
  {
    // Another model may score on another scale: the order of the titles is what counts.
    shadowId: "title-ranker-3",
    targetObjectives: Objectives.TitleRanking,
    model: { name: "title-ranker", version: 3 },
    sampleRate: 0.5,
    when: when.trafficType.is("live").and(when.country.in("US", "CA", "MX")),
    compare: { rankCorrelation: 0.9 },
  },
];
