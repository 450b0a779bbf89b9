// Held by `signalbox rules test examples/rules/gradual_rollout.js`.

/** @param {string} now */
const at = (now) => distribution({ objective: "ImageModeration", now }, { users: 50000 });

test("employees come first, all of them at once", () => {
  expect({ objective: "ImageModeration", user: "u1", segments: ["employees"] })
    .model("moderation@6")
    .reason("traffic_shift")
    .fallbacks("moderation@4");
});

test("everybody else follows step by step", () => {
  at("2026-11-23T07:59:59Z").model("moderation@6", { share: 0, tolerance: 0 });
  at("2026-11-23T08:00:00Z").model("moderation@6", { share: 1, tolerance: 0.2 });
  at("2026-11-23T10:00:00Z").model("moderation@6", { share: 10, tolerance: 0.6 });
  at("2026-11-24T10:00:00Z").model("moderation@6", { share: 50, tolerance: 1 });
  at("2026-11-25T10:00:00Z").model("moderation@6", { share: 100, tolerance: 0 });
});

test("without a time nothing has begun", () => {
  expect({ objective: "ImageModeration", user: "u1" }).model("moderation@5").reason("default");
});
