// Held by `signalbox rules test examples/rules/policies`.
import { northAmerica } from "./common.js";

test("the base policy counts where no other does", () => {
  if (!northAmerica) throw new Error("what the rules share is there for tests too");
  expect({ objective: "HomeRows", user: "u1" }).policy("base").fallbacks("popular-titles");
});

test("nightly jobs have limits of their own", () => {
  expect({ objective: "HomeRows", surface: "batch" }).policy("batch");
});

test("the new ranker is tried in North America, on live traffic", () => {
  distribution({ objective: "HomeRows", country: "MX" }, { users: 10000 })
    .model("row-ranker@9", { share: 50, tolerance: 2 });
  expect({ objective: "HomeRows", user: "u1", country: "DE" }).noCell("row-ranker-9").reason("default");
  expect({ objective: "HomeRows", user: "u1", country: "US", trafficType: "replay" }).noCell("row-ranker-9");
});

test("kids get their own model", () => {
  expect({ objective: "HomeRows", user: "u1", country: "CA", segments: ["kids"] })
    .model("row-ranker-kids@2")
    .reason("context_rule");
});
