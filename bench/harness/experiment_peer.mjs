// One peer deciding the experiment of bench/experiment_peers.mjs, in a process of its own, pinned to a core. Prints JSON:
// {"rounds": [decisions/s, ...], "cells": [cell of each context, "" for no part]}.
//
//   node experiment_peer.mjs growthbook|flagd CONTEXTS.tsv ROUNDS
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { CELLS, COUNTRIES, DEVICES, EXPERIMENT } from './experiment.mjs';

const require = createRequire(import.meta.url);
const [peer, file, rounds] = process.argv.slice(2);
const contexts = readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => {
  const [user, country, device] = line.split('\t');
  return { user, country, device };
});
const names = Object.keys(CELLS);
const weights = Object.values(CELLS);

const GROWTHBOOK_FEATURES = {
  ranker: {
    defaultValue: '',
    rules: [{
      key: EXPERIMENT,
      seed: EXPERIMENT,
      hashAttribute: 'id',
      hashVersion: 2,
      coverage: 1,
      condition: { country: { $in: COUNTRIES }, device: { $in: DEVICES } },
      variations: names,
      weights,
    }],
  },
};

// Each gives a function from a prepared context to the cell, and how to prepare one: what a server that keeps its
// requests' attributes in the library's own form would do outside the decision.
const PEERS = {
  // Their API for servers: one client, a context for each user. (An instance of GrowthBook for each takes twice as long.)
  growthbook() {
    const { GrowthBookClient } = require('@growthbook/growthbook');
    const client = new GrowthBookClient().initSync({ payload: { features: GROWTHBOOK_FEATURES } });
    return {
      prepare: ({ user, country, device }) => ({ attributes: { id: user, country, device } }),
      decide: (context) => client.evalFeature('ranker', context).value,
    };
  },
  flagd() {
    const { FlagdCore } = require('@openfeature/flagd-core');
    const core = new FlagdCore();
    core.setConfigurations(JSON.stringify({
      flags: {
        ranker: {
          state: 'ENABLED',
          variants: Object.fromEntries([['none', ''], ...names.map((name) => [name, name])]),
          defaultVariant: 'none',
          targeting: {
            if: [
              { and: [{ in: [{ var: 'country' }, COUNTRIES] }, { in: [{ var: 'device' }, DEVICES] }] },
              { fractional: [{ var: 'targetingKey' }, ...names.map((name, i) => [name, weights[i] * 100])] },
              'none',
            ],
          },
        },
      },
    }));
    const quiet = { error() {}, warn() {}, info() {}, debug() {} };
    return {
      prepare: ({ user, country, device }) => ({ targetingKey: user, country, device }),
      decide: (context) => core.resolveStringEvaluation('ranker', '', context, quiet).value,
    };
  },
};

const { prepare, decide } = PEERS[peer]();
const prepared = contexts.map(prepare);
const cells = prepared.map(decide); // and warms up
for (let i = 0; i < 2; ++i) prepared.forEach(decide);
const measured = [];
for (let round = 0; round < Number(rounds); ++round) {
  let taken = 0;
  const start = process.hrtime.bigint();
  for (let i = 0; i < prepared.length; ++i) if (decide(prepared[i]) !== '') ++taken;
  const nanoseconds = Number(process.hrtime.bigint() - start);
  if (taken !== cells.filter((cell) => cell !== '').length) throw new Error('decided otherwise the second time');
  measured.push((prepared.length * 1e9) / nanoseconds);
}
console.log(JSON.stringify({ rounds: measured, cells }));
