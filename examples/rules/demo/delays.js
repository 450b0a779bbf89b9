// Which model says how likely a flight is to be late. The canary moves traffic to version 2 step by step:
// 1 -> 10 -> 50 -> 100 %. Whoever is in stays in when the percentage is raised.
/** @type {Rules} */
export default [
  {
    objective: Objectives.ArrivalDelay,
    defaultModel: { name: "arrival-delay", version: 1 },
    modelInputType: constants.FLIGHT_INPUT_TYPE,
    modelType: "SCORER",
  },
  {
    trafficShiftId: "arrival-delay-2",
    targetObjectives: Objectives.ArrivalDelay,
    toModel: { name: "arrival-delay", version: 2 },
    percentage: 1,
  },
  {
    targetObjectives: Objectives.ArrivalDelay,
    fallbackModels: [{ name: "arrival-delay", version: 1 }],
  },
];
