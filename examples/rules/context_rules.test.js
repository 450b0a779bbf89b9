// Held by `signalbox rules test examples/rules/context_rules.js`.

/** @param {Partial<TestedRequest>} request */
const search = (request) => expect({ objective: "SearchRanking", user: "u1", ...request });

test("televisions in the United States and Canada get their own model, and are in no experiment", () => {
  search({ country: "US", device: "tv" }).model("search-ranker-tv@3").reason("context_rule").noCell("40117");
  search({ country: "CA", device: "tv" }).model("search-ranker-tv@3");
  search({ country: "MX", device: "tv" }).reason("experiment");
  search({ country: "US", device: "phone" }).reason("experiment");
});

test("old apps show less, and who sends no version is not concerned", () => {
  search({ appVersion: "4.1.9" }).parameter("maxResults", 20);
  search({ appVersion: "4.2" }).parameter("maxResults", 40);
  search({}).parameter("maxResults", 40);
});

test("on Friday and Saturday evenings in North America the careful policy counts", () => {
  // 20:00 of a Friday in New York.
  search({ country: "US", now: "2026-11-21T01:00:00Z" }).policy("careful");
  expect({ objective: "SearchRanking", country: "US", device: "tv", now: "2026-11-21T01:00:00Z" })
    .model("search-ranker-tv@3")
    .policy("careful");
});

test("who pays for more than basic sees all titles", () => {
  search({ attributes: { plan: "premium" }, locale: "en-US" }).parameter("titles", "all");
  search({ attributes: { plan: "premium" }, locale: "EN_gb", segments: ["sports"] }).parameter("titles", "all");
});

test("live users are split in halves, and nobody else is", () => {
  distribution({ objective: "SearchRanking" }, { users: 20000 })
    .cell("40117", "1", { share: 50, tolerance: 1.5 })
    .model("search-ranker@13", { share: 50, tolerance: 1.5 });
  search({ trafficType: "synthetic" }).noCell("40117").model("search-ranker@12").reason("default");
});
