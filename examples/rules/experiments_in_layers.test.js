// Held by `signalbox rules test examples/rules/experiments_in_layers.js`.

const running = "2026-11-15T12:00:00Z";

test("the layer's parts are as large as they say, less the holdout", () => {
  // 30 % of the accounts, of which one in twenty is held out: 28.5 %, in two cells.
  distribution({ objective: "HomeRanking", now: running }, { users: 50000 })
    .cell("transformer", "control", { share: 14.25, tolerance: 0.7 })
    .cell("transformer", "transformer", { share: 14.25, tolerance: 0.7 })
    .cell("longer-history", "control", { share: 14.25, tolerance: 0.7 })
    .cell("longer-history", "longer", { share: 14.25, tolerance: 0.7 });
});

test("how the page looks is tried on everybody with a device", () => {
  distribution({ objective: "HomeRanking", now: running }, { users: 20000 })
    .cell("fewer-rows", "fewer", { share: 50, tolerance: 1.5 });
  expect({ objective: "HomeRanking", user: "u1" }).noCell("fewer-rows").parameter("rows", 30);
});

test("the transformer runs in November", () => {
  for (const now of ["2026-11-01T23:59:59Z", "2026-12-01T00:00:00Z"]) {
    distribution({ objective: "HomeRanking", now }, { users: 2000 })
      .model("home-transformer@4", { share: 0, tolerance: 0 });
  }
});

test("testers see what they test", () => {
  expect({ objective: "HomeRanking", attributes: { account: "account-qa-1" }, now: running })
    .model("home-transformer@4")
    .cell("transformer", "transformer")
    .noCell("longer-history");
  expect({ objective: "HomeRanking", attributes: { account: "account-qa-2" }, now: running })
    .cell("transformer", "control");
});

test("the longer history is not tried in Germany and France, nor on made-up traffic", () => {
  /** @type {Partial<TestedRequest>[]} */
  const others = [{ country: "DE" }, { country: "FR" }, { trafficType: "synthetic" }];
  for (const request of others) {
    distribution({ objective: "HomeRanking", ...request }, { users: 2000 })
      .cell("longer-history", "longer", { share: 0, tolerance: 0 });
  }
});
