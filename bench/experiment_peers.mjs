// One experiment, the same contexts, decided in process by signalbox and by the SDKs that applications use for it:
// @growthbook/growthbook and @openfeature/flagd-core. With GrowthBook's hash every context must get the same cell from
// both.
//
//   node bench/experiment_peers.mjs [--quick] [--signalbox FILE] [--json FILE]
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { CELLS, COUNTRIES, DEVICES } from './harness/experiment.mjs';
import { cores, runOn } from './harness/processes.mjs';
import { median, printTable, withCommas, writeJson } from './harness/report.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    signalbox: { type: 'string', default: 'build/release/signalbox' },
    json: { type: 'string', default: 'build/bench/experiment_peers.json' },
  },
});
const AIM = 10;
const CONTEXTS = 1 << 16;
const ROUNDS_EACH = 5; // in one process
const turns = options.quick ? 2 : 7;
const [CORE] = cores(1);
const source = path.dirname(fileURLToPath(import.meta.url));
const ours = path.join(path.dirname(path.resolve(options.signalbox)), 'bench/experiment_decisions');
const folder = mkdtempSync(path.join(tmpdir(), 'signalbox_bench_'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

// Half of them are targeted: two of four countries, and all of the devices.
const file = path.join(folder, 'contexts.tsv');
const countries = ['US', 'CA', 'DE', 'FR'];
const lines = Array.from({ length: CONTEXTS }, (_, i) => `user-${i}\t${countries[i % 4]}\t${DEVICES[(i >> 2) % 2]}\n`);
writeFileSync(file, lines.join(''));
const targeted = (i) => COUNTRIES.includes(countries[i % 4]);

const node = (peer) => [process.execPath, [path.join(source, 'harness/experiment_peer.mjs'), peer, file, String(ROUNDS_EACH)]];
const own = (hash) => [ours, [String(hash), file, String(ROUNDS_EACH)]];
const DECIDERS = [
  { name: 'signalbox, own hash', command: own(0) },
  { name: 'signalbox, hashVersion 2', command: own(2) },
  { name: '@growthbook/growthbook', command: node('growthbook'), peer: true },
  { name: '@openfeature/flagd-core', command: node('flagd'), peer: true },
];

const rounds = Object.fromEntries(DECIDERS.map(({ name }) => [name, []]));
const cells = {};
for (let turn = 0; turn < turns; ++turn) {
  // Interleaved, so that what else the machine does meets all of them alike.
  for (const { name, command } of DECIDERS) {
    const result = JSON.parse(await runOn(CORE, ...command));
    rounds[name].push(...result.rounds);
    cells[name] = result.cells;
    if (result.allocations) throw new Error(`${name}: ${result.allocations} heap allocations`);
  }
}

// All did the same work: the same half takes part, in shares that the weights allow; and GrowthBook and we give everybody
// the same cell.
for (const { name } of DECIDERS) {
  const part = cells[name].filter((cell) => cell !== '').length;
  cells[name].forEach((cell, i) => {
    if ((cell !== '') !== targeted(i)) throw new Error(`${name}: context ${i} ${cell === '' ? 'takes no' : 'takes'} part`);
  });
  for (const [cell, weight] of Object.entries(CELLS)) {
    const share = cells[name].filter((each) => each === cell).length / part;
    // Six standard deviations.
    if (Math.abs(share - weight) > 6 * Math.sqrt((weight * (1 - weight)) / part))
      throw new Error(`${name}: cell ${cell} has ${share}, expected ${weight}`);
  }
}
const [theirs, compatible] = [cells['@growthbook/growthbook'], cells['signalbox, hashVersion 2']];
theirs.forEach((cell, i) => {
  if (cell !== compatible[i]) throw new Error(`context ${i}: GrowthBook gives cell '${cell}', signalbox '${compatible[i]}'`);
});

const medians = Object.fromEntries(DECIDERS.map(({ name }) => [name, median(rounds[name])]));
const of = (name) => medians[`signalbox, ${name}`];
const rows = [['', 'decisions/s', 'ours, own hash', 'ours, hashVersion 2']];
for (const { name, peer } of DECIDERS) {
  const ratio = (hash) => (peer ? `${(of(hash) / medians[name]).toFixed(1)} x` : '');
  rows.push([name, withCommas(medians[name]), ratio('own hash'), ratio('hashVersion 2')]);
}
printTable(`One experiment in process, one core, ${withCommas(CONTEXTS)} contexts, medians (aim: ${AIM} x)`, rows);
console.log(`  GrowthBook and signalbox agree on all ${withCommas(CONTEXTS)} contexts`);
writeJson(options.json, { contexts: CONTEXTS, medians, rounds });
