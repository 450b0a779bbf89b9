// Held by `signalbox rules test examples/rules/shadows.js`.

test("the next version is asked too, and never answers", () => {
  expect({ objective: "ArrivalDelay" }).model("arrival-delay@1").shadow("arrival-delay-2");
});

test("titles are ranked a second time in North America", () => {
  expect({ objective: "TitleRanking", country: "MX" }).model("title-ranker@2").shadow("title-ranker-3");
});
