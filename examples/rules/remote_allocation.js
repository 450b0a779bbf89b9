// An experiment whose cells an experimentation platform allocates. The platform's address belongs to the operators; the rules
// name it, say for how long an answer counts, how long a request waits, and what happens without one.

/** @type {Rules} */
export default [
  {
    objective: Objectives.SupportAnswer,
    defaultModel: { name: "support-llm", version: "small-3" },
    fallbackModels: [{ name: "support-llm", version: "small-2" }],
  },
  {
    abTestId: "support-large",
    targetObjectives: Objectives.SupportAnswer,
    cellToModel: {
      control: { name: "support-llm", version: "small-3" },
      large: { name: "support-llm", version: "large-1" },
    },
    remoteAllocation: {
      platform: "growthbook",
      flag: "support-large-model",
      ttlSeconds: 600,
      deadlineMs: 15,
      // Without an answer in time nobody gets the expensive model.
      fallback: { cell: "control" },
    },
  },
];
