// A step of a gradual rollout: 10 % of the home page's users get version 3. Published together with ../demo/*.js.
// The id stays the same from step to step, so that nobody who has the new version loses it when the share grows.
/** @returns {TrafficShiftRule} */
function defineHomePageCanaryRule() {
  return {
    trafficShiftId: "home-page-ranker-3",
    targetObjectives: Objectives.HomePageRanking,
    toModel: { name: "title-ranker", version: 3 },
    percentage: 10,
  };
}
