// Ensembles: several models answer together. An ensemble stands where a model can: as a default, in a cell, in a shift.

/** @type {Rules} */
export default [
  {
    objective: Objectives.FraudScore,
    defaultModel: { ensemble: "fraud-mix" },
    // Where fewer members than it needs have answered.
    fallbackModels: [{ name: "fraud-trees", version: 9 }],
  },
  {
    ensembleId: "fraud-mix",
    mode: "weighted",
    members: [
      { name: "fraud-trees", version: 9, weight: 0.7 },
      { name: "fraud-net", version: 2, weight: 0.2 },
      { name: "fraud-graph", version: 1, weight: 0.1 },
    ],
    minimumMembers: 2,
  },
  {
    // Is the plain mean as good?
    abTestId: 5150,
    targetObjectives: Objectives.FraudScore,
    allocationPercentage: 10,
    cellToModel: { weighted: { ensemble: "fraud-mix" }, mean: { ensemble: "fraud-mean" } },
  },
  {
    ensembleId: "fraud-mean",
    mode: "mean",
    members: [
      { name: "fraud-trees", version: 9 },
      { name: "fraud-net", version: 2 },
    ],
  },
  // Both are asked, the faster one answers.
  {
    objective: Objectives.Translation,
    defaultModel: { ensemble: "translation-race" },
    fallbackModels: [{ name: "translator", version: "cpu-3" }],
  },
  {
    ensembleId: "translation-race",
    mode: "first",
    members: [
      { name: "translator", version: "gpu-4" },
      { name: "translator", version: "cpu-4" },
    ],
  },
];
