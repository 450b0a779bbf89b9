// What a file of tests can get wrong, each on its line.
test("right", () => {
  expect({ objective: "X", user: "u1", segments: ["kids"], override: { cells: { 12345: 2 } } })
    .model("m@2").model({ name: "m", version: 2 }).cell(12345, "2").noCell("1").reason("experiment").fallbacks("a").staticAnswer();
  distribution({ objective: Objectives.X }, { users: 10 }).model("m", { share: 5 }).cell("1", "2", { share: 5, tolerance: 1 });
});
test("no function"); // wrong: 2554
test("wrong", () => {
  expect({ user: "u1" }); // wrong: 2345
  expect({ objective: "X", contry: "US" }); // wrong: 2561
  expect({ objective: "X" }).modle("m"); // wrong: 2551
  expect({ objective: "X" }).reason("because"); // wrong: 2345
  expect({ objective: "X" }).cell("1"); // wrong: 2554
  distribution({ objective: "X" }).model("m"); // wrong: 2554
  distribution({ objective: "X", user: "u1" }); // wrong: 2353
});
