// A team that comes from GrowthBook keeps its buckets: with `hashVersion` the same seed and user get the same variation as
// in GrowthBook's SDKs.

/** @type {Rules} */
export default [
  {
    objective: Objectives.CheckoutFraud,
    defaultModel: { name: "fraud-scorer", version: 7 },
    fallbackModels: [{ name: "fraud-rules", version: 3 }],
    modelType: "SCORER",
  },
  {
    // In GrowthBook: key "fraud-threshold", coverage 0.8, weights [0.5, 0.5], hashAttribute "id", hashVersion 2.
    abTestId: "fraud-threshold",
    targetObjectives: Objectives.CheckoutFraud,
    hashVersion: 2,
    seed: "fraud-threshold",
    unit: "id",
    allocationPercentage: 80,
    cellParameters: { 0: { threshold: 0.7 }, 1: { threshold: 0.9 } },
    cellWeights: { 0: 0.5, 1: 0.5 },
    // In GrowthBook: namespace ["checkout", 0, 0.5].
    layer: "checkout",
    layerRange: [0, 50],
  },
  { layerId: "checkout", unit: "id", hashVersion: 1 },
];
