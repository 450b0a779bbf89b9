// Held by `signalbox rules test examples/rules/growthbook.js`.

test("half of the namespace, four fifths of it covered, in two cells", () => {
  distribution({ objective: "CheckoutFraud" }, { users: 50000 })
    .cell("fraud-threshold", "0", { share: 20, tolerance: 0.8 })
    .cell("fraud-threshold", "1", { share: 20, tolerance: 0.8 });
});

test("only a request with an id takes part", () => {
  expect({ objective: "CheckoutFraud", user: "u1" }).noCell("fraud-threshold").model("fraud-scorer@7");
});
