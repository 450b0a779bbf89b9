// What is tried when a model cannot be reached, down to a declared answer; and who may choose a model by a header.

/** @type {Rules} */
export default [
  {
    objective: Objectives.PersonalRanking,
    defaultModel: { name: "personal-ranker", version: 21 },
    // In this order, each when the one before it cannot be reached.
    fallbackModels: [{ name: "personal-ranker", version: 20 }, { name: "popular-titles" }],
    // And then this: one score of 0, from which clients show their own order.
    staticAnswer: { outputs: [{ name: "scores", datatype: "FP32", shape: [1], data: [0] }] },
  },
  {
    abTestId: 777,
    targetObjectives: Objectives.PersonalRanking,
    cellToModel: {
      1: { name: "personal-ranker", version: 21 },
      2: { name: "personal-ranker", version: 22 },
    },
  },
  {
    // `sb-override: model="personal-ranker@22"` or `sb-override: cells="777=2"`. Every such request is logged with this id.
    overrideId: "testers",
    targetObjectives: Objectives.PersonalRanking,
    callers: { tenants: ["qa"], users: ["alice", "bob"] },
    models: [{ name: "personal-ranker", version: 22 }, { name: "popular-titles" }],
  },
];
