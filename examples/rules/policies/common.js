// What several rule files of one team share. A file without rules of its own is imported, not given to `rules check`.

export const northAmerica = when.country.in("US", "CA", "MX");

/** @type {Rules} */
export const policies = [
  // The base of all others.
  {
    policyId: "base",
    limits: { concurrentRequests: 200, payloadBytes: 1_000_000 },
    fallbackModels: [{ name: "popular-titles" }],
  },
  // What it does not say, `base` says.
  { policyId: "batch", extends: "base", limits: { requestsPerSecond: 500, burst: 50, priority: "low" } },
  // Targeting: who names it is narrowed by its condition.
  { policyId: "north-america", when: northAmerica.and(when.trafficType.is("live")) },
];
