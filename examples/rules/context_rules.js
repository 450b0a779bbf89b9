// Context rules: where a condition holds, another model, another policy, or further parameters. They are asked before all
// experiments, so that nobody in the United States and Canada who watches on a television is in the experiment below.

const onTelevision = when.device.is("tv");
const inNorthAmerica = when.country.in("US", "CA");
// On Friday and Saturday evenings, in New York's winter.
const weekendEvenings = when.time.weekly({ days: ["fri", "sat"], from: "18:00", to: "24:00", utcOffset: "-05:00" });

/** @type {Rules} */
export default [
  {
    objective: Objectives.SearchRanking,
    defaultModel: { name: "search-ranker", version: 12 },
    fallbackModels: [{ name: "search-ranker", version: 11 }],
    parameters: { maxResults: 40 },
  },
  {
    contextRuleId: "television-in-north-america",
    targetObjectives: Objectives.SearchRanking,
    when: inNorthAmerica.and(onTelevision),
    model: { name: "search-ranker-tv", version: 3 },
  },
  {
    // Old versions of the app cannot show more. Whoever sends no version is not concerned.
    contextRuleId: "old-apps",
    targetObjectives: Objectives.SearchRanking,
    when: when.appVersion.below("4.2"),
    parameters: { maxResults: 20 },
  },
  {
    contextRuleId: "busy-evenings",
    targetObjectives: Objectives.SearchRanking,
    when: weekendEvenings.and(inNorthAmerica),
    policy: "careful",
  },
  {
    // The request has to have the attribute: without `exists` its absence would count as "not basic".
    contextRuleId: "paying-plans",
    targetObjectives: Objectives.SearchRanking,
    when: when.all(
      when.attribute("plan").exists(),
      when.attribute("plan").isNot("basic"),
      when.segments.has("kids").not(),
      when.locale.matches(/^en[-_]/i),
    ),
    parameters: { titles: "all" },
  },
  { policyId: "careful", limits: { requestsPerSecond: 2000, priority: "low" } },
  {
    abTestId: 40117,
    targetObjectives: Objectives.SearchRanking,
    cellToModel: {
      1: { name: "search-ranker", version: 12 },
      2: { name: "search-ranker", version: 13 },
    },
    when: when.trafficType.is("live"),
  },
];
