// An experiment with GrowthBook's hash gives every user the variation that GrowthBook's own SDK gives: the package itself
// is asked, user by user.
//
// Run by CTest; by hand: node tests/node/growthbook_test.mjs (of build/release, or where SIGNALBOX says)
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { GrowthBook } from '@growthbook/growthbook';
import { root, run } from './processes.mjs';

const binary = process.env.SIGNALBOX ?? join(root, 'build/release/signalbox');
const USERS = 3000;

// Each with one Objective of its own, so that it is the only one that decides.
const experiments = [];
const weightings = [[0.5, 0.5], [0.1, 0.2, 0.7], [0.3334, 0.3333, 0.3333], [0.05, 0.15, 0.2, 0.6], [0, 1]];
for (const hashVersion of [1, 2]) {
  for (const weights of weightings) {
    for (const percentage of [100, 50, 33.3, 1]) experiments.push({ hashVersion, weights, percentage });
  }
  experiments.push({ hashVersion, weights: [0.5, 0.5], percentage: 100, seed: 'another-seed' });
  experiments.push({ hashVersion, weights: [0.29, 0.71], percentage: 57.7, seed: '' });
  for (const range of [[0, 30], [30, 60], [60, 100], [12.3, 45.6]])
    experiments.push({ hashVersion, weights: [0.5, 0.5], percentage: 80, range });
}
experiments.forEach((experiment, i) => (experiment.id = `experiment-${i}`));

const layerOf = (i) => `layer-${i}`;
const rules = () =>
  experiments.flatMap(({ id, hashVersion, weights, percentage, seed, range }, i) => [
    { objective: `Objective${i}`, defaultModel: { name: 'base' } },
    ...(range ? [{ layerId: layerOf(i), seed: 'checkout', hashVersion: 1 }] : []),
    {
      abTestId: id,
      targetObjectives: `Objective${i}`,
      cellToModel: Object.fromEntries(weights.map((_, cell) => [cell, { name: 'ranker', version: String(cell) }])),
      cellWeights: Object.fromEntries(weights.entries()),
      allocationPercentage: percentage,
      hashVersion,
      ...(seed ? { seed } : {}),
      ...(range ? { layer: layerOf(i), layerRange: range } : {}),
    },
  ]);

function users() {
  const forms = [
    (n) => `user-${n}`,
    (n) => String(n * 7919),
    (n) => `josé-${n}@exämple.com`,
    (n) => `用户-${n}`,
    (n) => `😀${n}𝔘`,
    (n) => 'x'.repeat(n % 300) + n,
  ];
  return Array.from({ length: USERS }, (_, n) => forms[n % forms.length](n));
}

// What its author would write there: 12.3 / 100 is not 0.123.
const shareOf = (percentage) => Number((percentage / 100).toFixed(6));

// The variation's number, or null.
function variationOf({ id, hashVersion, weights, percentage, seed, range }, user) {
  const growthbook = new GrowthBook({ attributes: { id: user } });
  const result = growthbook.run({
    key: id,
    variations: weights.map((_, cell) => cell),
    weights,
    coverage: shareOf(percentage),
    hashVersion,
    ...(seed ? { seed } : {}),
    ...(range ? { namespace: ['checkout', ...range.map(shareOf)] } : {}),
  });
  growthbook.destroy();
  return result.inExperiment ? String(result.value) : null;
}

let folder;
before(() => (folder = mkdtempSync(join(tmpdir(), 'signalbox_growthbook_'))));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("GrowthBook's hash", () => {
  it('gives every user the variation of their SDK', async () => {
    const text = JSON.stringify(rules()).replaceAll(/"(?:objective|targetObjectives)":"(\w+)"/g, (pair, name) =>
      pair.replace(`"${name}"`, `Objectives.${name}`),
    );
    writeFileSync(join(folder, 'rules.js'), `export default ${text};`);
    const everybody = users();
    const contexts = experiments.flatMap((_, i) => everybody.map((user) => ({ objective: `Objective${i}`, user })));
    writeFileSync(join(folder, 'contexts.jsonl'), contexts.map((each) => `${JSON.stringify(each)}\n`).join(''));
    const batch = await run(binary, 'resolve', '--rules', join(folder, 'rules.js'), '--batch', join(folder, 'contexts.jsonl'));
    assert.equal(batch.exitCode, 0, batch.errors);
    const decisions = batch.output.trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.equal(decisions.length, contexts.length);

    let takingPart = 0;
    experiments.forEach((experiment, i) => {
      everybody.forEach((user, n) => {
        const { cell } = decisions[i * USERS + n];
        const expected = variationOf(experiment, user);
        assert.equal(cell, expected, `${JSON.stringify(experiment)}, user ${user}`);
        if (expected !== null) ++takingPart;
      });
    });
    assert.ok(takingPart > decisions.length / 4, `only ${takingPart} of ${decisions.length} take part`);
  });
});
