// Held by `signalbox rules test examples/rules/remote_allocation.js`.

test("without the platform's answer nobody gets the expensive model", () => {
  distribution({ objective: "SupportAnswer" }, { users: 5000 })
    .cell("support-large", "control", { share: 100, tolerance: 0 })
    .model("support-llm@large-1", { share: 0, tolerance: 0 });
});
