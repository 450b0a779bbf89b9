// The rules of bench/many_rules.h as an author writes them: ten on each Objective.
export function manyRules(objectives) {
  return `// Written by the benchmarks.
const rules = [];
const northAmericanKids = when.country.in('US', 'CA').and(when.device.is('tv'), when.segments.has('kids'));
const europe = when.country.in('AT', 'CH', 'DE', 'ES', 'FR', 'IT', 'NL', 'PL');
const newApp = when.appVersion.atLeast('4.2');
const premium = when.attribute('plan').in('premium', 'premium-plus').and(when.attribute('account_age_days').atLeast(30));
const supported = when.device.in('mobile', 'tv', 'web');
for (let i = 0; i < ${objectives}; ++i) {
  const name = \`ContinueWatchingRanking\${i}\`;
  const targetObjectives = Objectives[name];
  const model = (what) => ({ name: \`ranker-\${i}-\${what}\` });
  rules.push(
    { objective: targetObjectives, defaultModel: model('default'), fallbackModels: [{ name: 'popular' }] },
    { contextRuleId: \`kids-tv-\${i}\`, targetObjectives, when: northAmericanKids, model: model('kids') },
    { contextRuleId: \`europe-\${i}\`, targetObjectives, when: europe, parameters: { region: 'eu' } },
    { contextRuleId: \`new-app-\${i}\`, targetObjectives, when: newApp, parameters: { rows: '40' } },
    { contextRuleId: \`premium-\${i}\`, targetObjectives, when: premium, parameters: { depth: '200' } },
    { trafficShiftId: \`canary-\${i}\`, targetObjectives, toModel: model('next'), percentage: 10 },
    { shadowId: \`shadow-\${i}\`, targetObjectives, model: model('shadow'), sampleRate: 1, when: when.trafficType.is('live') },
  );
  for (const layer of ['model', 'rows', 'art']) rules.push({ layerId: \`\${layer}-\${i}\` });
  for (let e = 0; e < 4; ++e) {
    rules.push({
      abTestId: 10000 + 4 * i + e,
      targetObjectives,
      allocationPercentage: 90,
      layer: ['model', 'model', 'rows', 'art'][e] + '-' + i,
      layerRange: [[0, 30], [30, 50], [0, 100], [0, 100]][e],
      ...(e === 3 ? {} : { when: supported }),
      ...(e < 2
        ? { cellToModel: { 1: model(e + '-1'), 2: model(e + '-2'), 3: model(e + '-3') } }
        : { cellParameters: { 1: { [e === 2 ? 'candidates' : 'artwork']: '1' }, 2: { [e === 2 ? 'candidates' : 'artwork']: '2' },
            3: { [e === 2 ? 'candidates' : 'artwork']: '3' } } }),
    });
  }
}
export default rules;
`;
}
