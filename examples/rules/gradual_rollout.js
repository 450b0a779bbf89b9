// Traffic shifts: a share of the users gets another model than the default. Whoever is in stays in while the share grows.

/** @type {Rules} */
export default [
  {
    objective: Objectives.ImageModeration,
    defaultModel: { name: "moderation", version: 5 },
    fallbackModels: [{ name: "moderation", version: 4 }],
  },
  {
    // Employees first, all of them at once. The first shift that takes a user counts.
    trafficShiftId: "moderation-6-employees",
    targetObjectives: Objectives.ImageModeration,
    toModel: { name: "moderation", version: 6 },
    when: when.segments.has("employees"),
    percentage: 100,
  },
  {
    // Then everybody, by itself: 1 % for two hours, 10 % for a day, half for a day, all. `signalbox traffic pause` stops it.
    trafficShiftId: "moderation-6",
    targetObjectives: Objectives.ImageModeration,
    fromModel: { name: "moderation", version: 5 },
    toModel: { name: "moderation", version: 6 },
    unit: ["account", "user"],
    schedule: {
      start: "2026-11-23T09:00:00+01:00",
      steps: [
        { percentage: 1, hold: "2h" },
        { percentage: 10, hold: "1d" },
        { percentage: 50, hold: "1d" },
        { percentage: 100 },
      ],
    },
  },
];
