// The rules that the command and the proxy are measured with: 100 Objectives, an experiment on each that everybody
// takes part in, so that every measured request goes the longer way.

export const OBJECTIVES = 100;
export const objectiveName = (i) => `ContinueWatchingRanking${i}`;

export function ruleFile() {
  return `// Written by the benchmarks.
const rules = [];
for (let i = 0; i < ${OBJECTIVES}; ++i) {
  const objective = Objectives[\`ContinueWatchingRanking\${i}\`];
  rules.push({ objective, defaultModel: { name: \`ranker-\${i}\` }, modelInputType: 'TITLE_INPUT_TYPE', modelType: 'SCORER' });
  rules.push({
    abTestId: 12345 + i,
    targetObjectives: [objective],
    cellToModel: { 1: { name: \`ranker-\${i}-a\` }, 2: { name: \`ranker-\${i}-b\` }, 3: { name: \`ranker-\${i}-c\` } },
    modelInputType: 'TITLE_INPUT_TYPE',
    modelType: 'SCORER',
  });
}
export default rules;
`;
}

// Every model on one shard of one host.
export function placementFile(host) {
  const models = {};
  for (let i = 0; i < OBJECTIVES; ++i) {
    for (const suffix of ['', '-a', '-b', '-c']) models[`ranker-${i}${suffix}`] = ['s1'];
  }
  return JSON.stringify({ shards: { s1: [host] }, models });
}
