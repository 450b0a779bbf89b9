// Several experiments on one Objective. Those of one layer never meet; those of different layers run on the same users,
// independent of one another, and their parameters are merged.

/** @type {Rules} */
export default [
  {
    objective: Objectives.HomeRanking,
    defaultModel: { name: "home-ranker", version: "2026-10" },
    fallbackModels: [{ name: "popular-titles" }],
    parameters: { exploration: 0.05, rows: 30 },
  },

  // Which model ranks: two experiments share the layer, each has its part of the accounts. 40 % are free for the next one.
  { layerId: "ranking", unit: ["account", "user"], seed: "ranking-2026" },
  {
    abTestId: "transformer",
    targetObjectives: Objectives.HomeRanking,
    layer: "ranking",
    layerRange: [0, 30],
    start: "2026-11-02T00:00:00Z",
    end: "2026-12-01T00:00:00Z",
    cellToModel: {
      control: { name: "home-ranker", version: "2026-10" },
      transformer: { name: "home-transformer", version: 4 },
    },
    // Testers see the new model, whatever else is said here.
    forcedCells: { "account-qa-1": "transformer", "account-qa-2": "control" },
  },
  {
    abTestId: "longer-history",
    targetObjectives: Objectives.HomeRanking,
    layer: "ranking",
    layerRange: [30, 60],
    when: when.country.notIn("DE", "FR").and(when.trafficType.is("live")),
    cellToModel: { control: { name: "home-ranker", version: "2026-10" } },
    // Without a model the cell keeps the default.
    cellParameters: { longer: { historyDays: 90 } },
    cellWeights: { control: 0.5, longer: 0.5 },
  },

  // How the page looks: another layer, other parameters, all users, per device.
  { layerId: "layout", unit: "device_id" },
  {
    abTestId: "fewer-rows",
    targetObjectives: [Objectives.HomeRanking],
    layer: "layout",
    cellParameters: { control: { rows: 30 }, fewer: { rows: 20 } },
  },

  // One account in twenty sees no experiment of the layer "ranking", to tell what they do together.
  { holdoutId: "no-ranking-tests", percentage: 5, unit: ["account", "user"], layers: ["ranking"] },
];
