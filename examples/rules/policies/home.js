// Policies: named pieces that rules refer to, here from another file.
import { northAmerica, policies } from "./common.js";

/** @type {Rules} */
export default [
  ...policies,
  { objective: Objectives.HomeRows, defaultModel: { name: "row-ranker", version: 8 }, policy: "base" },
  {
    // Nightly jobs are limited, and refused first.
    contextRuleId: "nightly-jobs",
    targetObjectives: Objectives.HomeRows,
    when: when.surface.is("batch"),
    policy: "batch",
  },
  {
    abTestId: "row-ranker-9",
    targetObjectives: Objectives.HomeRows,
    policy: "north-america",
    cellToModel: { 1: { name: "row-ranker", version: 8 }, 2: { name: "row-ranker", version: 9 } },
  },
  {
    contextRuleId: "kids",
    targetObjectives: Objectives.HomeRows,
    when: northAmerica.and(when.segments.has("kids")),
    model: { name: "row-ranker-kids", version: 2 },
  },
];
