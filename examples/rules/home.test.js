// What the rules of home.js are held to: `signalbox rules test examples/rules/home.js`.

test("both rows fall back on popular titles, so that they are never empty", () => {
  expect({ objective: "TopPicksRanking" }).model("home-ranker@2026-03").fallbacks("popular-titles").reason("default");
  expect({ objective: "BecauseYouWatchedRanking", user: "u1" }).fallbacks("popular-titles");
});

test("what the models take goes along with every request", () => {
  expect({ objective: Objectives.TopPicksRanking, user: "u1" }).parameter("slateSize", 40);
});

test("one user in a hundred meets the candidate, on both rows", () => {
  for (const objective of ["TopPicksRanking", "BecauseYouWatchedRanking"]) {
    distribution({ objective }, { users: 100000 }).model("home-ranker@2026-04", { share: 1, tolerance: 0.2 });
  }
});

test("one user in five explores, half of these not at all", () => {
  distribution({ objective: "TopPicksRanking" }, { users: 50000 })
    .cell("31415", "control", { share: 10, tolerance: 0.5 })
    .cell("31415", "some", { share: 5, tolerance: 0.5 })
    .cell("31415", "more", { share: 5, tolerance: 0.5 });
});

test("who cannot be told apart takes part in nothing", () => {
  expect({ objective: "TopPicksRanking", country: "US" }).noCell("31415").reason("default");
});
