// Held by `signalbox rules test examples/rules/ensembles.js`.

test("several models say together what is fraud, and one alone where too few answer", () => {
  expect({ objective: "FraudScore" }).model({ ensemble: "fraud-mix" }).reason("default").fallbacks("fraud-trees@9");
});

test("one user in ten helps to find out whether the plain mean is as good", () => {
  distribution({ objective: "FraudScore" }, { users: 50000 })
    .cell("5150", "mean", { share: 5, tolerance: 0.5 })
    .cell("5150", "weighted", { share: 5, tolerance: 0.5 })
    .model("ensemble:fraud-mean", { share: 5, tolerance: 0.5 });
});

test("translations race", () => {
  expect({ objective: "Translation", user: "u1" }).model("ensemble:translation-race").fallbacks("translator@cpu-3");
});
