// How likely a flight is to arrive late. A fifth of the users get the version that looks at the time of day.

function defineArrivalDelayRule() {
  return {
    objective: Objectives.ArrivalDelay,
    defaultModel: {name: 'arrival-delay', version: '1'},
    modelInputType: constants.FLIGHT_INPUT_TYPE,
    modelType: 'SCORER',
  };
}

function defineTimeOfDayRolloutRule() {
  return {
    trafficShiftId: 'time-of-day',
    targetObjectives: [Objectives.ArrivalDelay],
    toModel: {name: 'arrival-delay', version: '2'},
    percentage: 20,
  };
}
