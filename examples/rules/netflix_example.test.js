// Held by `signalbox rules test examples/rules/netflix_example.js`.

test("the test takes all users, a third each", () => {
  distribution({ objective: "ContinueWatchingRanking" }, { users: 30000 })
    .cell("12345", "1", { share: 33.3333, tolerance: 1 })
    .cell("12345", "2", { share: 33.3333, tolerance: 1 })
    .cell("12345", "3", { share: 33.3333, tolerance: 1 })
    .model("netflix-continue-watching-model-cell-2", { share: 33.3333, tolerance: 1 });
});

test("who is nobody gets the default", () => {
  expect({ objective: "ContinueWatchingRanking" })
    .model("netflix-continue-watching-model-default")
    .reason("default")
    .noCell("12345");
});
