// Held by `signalbox rules test examples/rules/fallbacks_and_overrides.js`.

test("there is always an answer", () => {
  expect({ objective: "PersonalRanking", user: "u1" }).fallbacks("personal-ranker@20", "popular-titles").staticAnswer();
});

test("testers choose their model, of those that the rule names", () => {
  expect({ objective: "PersonalRanking", user: "alice", override: { model: "personal-ranker@22" } })
    .model("personal-ranker@22")
    .reason("override")
    .override("testers");
  expect({ objective: "PersonalRanking", user: "u1", tenant: "qa", override: { model: "popular-titles" } })
    .model("popular-titles")
    .override("testers");
});

test("testers choose their cell", () => {
  for (const cell of ["1", "2"]) {
    expect({ objective: "PersonalRanking", user: "bob", override: { cells: { 777: cell } } })
      .cell("777", cell)
      .override("testers");
  }
});

test("nobody else chooses", () => {
  distribution({ objective: "PersonalRanking", override: { model: "popular-titles" } }, { users: 1000 })
    .model("popular-titles", { share: 0, tolerance: 0 });
});
