// Decisions among 100,000 rules and among 100, and what compiling 100,000 rules takes. The work is done by the binary
// decision_scale, on one core; this makes the tables.
//
//   node bench/decision_scale.mjs [--quick] [--signalbox FILE] [--json FILE]
import path from 'node:path';
import { parseArgs } from 'node:util';

import { cores, runOn } from './harness/processes.mjs';
import { printTable, withCommas, writeJson } from './harness/report.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    signalbox: { type: 'string', default: 'build/release/signalbox' },
    json: { type: 'string', default: 'build/bench/decision_scale.json' },
  },
});
const binary = path.join(path.dirname(path.resolve(options.signalbox)), 'bench/decision_scale');
const result = JSON.parse(await runOn(cores(1)[0], binary, options.quick ? ['--quick'] : []));

const { compile, decisions } = result;
const rows = [['', 'p50 ns', 'p90 ns', 'p99 ns', 'M/s', 'allocations', 'by experiment', 'by context rule', 'by shift']];
for (const load of decisions) {
  rows.push([load.name, load.p50_ns.toFixed(1), load.p90_ns.toFixed(1), load.p99_ns.toFixed(1),
    load.millions_per_s.toFixed(2), withCommas(load.allocations),
    ...['experiment', 'context_rule', 'traffic_shift'].map((reason) => `${(100 * load.by[reason]).toFixed(1)} %`)]);
}
printTable('Decisions in process, one core, ten rules on each Objective (aims: p50 300 ns, 3 M/s, 1.5 x)', rows);
const ratio = (key, i) => `${(decisions[i + 1][key] / decisions[i][key]).toFixed(2)} x`;
printTable('100,000 rules : 100 rules', [['', 'p50', 'p99', 'M/s'],
  ...[['uniform', 0], ['Zipf', 2]].map(([name, i]) => [name, ratio('p50_ns', i), ratio('p99_ns', i), ratio('millions_per_s', i)])]);
printTable(`Compiling ${withCommas(compile.rules)} rules of ${withCommas(compile.objectives)} Objectives (aims: 2 s, 300 MB)`, [
  ['', 'wall s', 'CPU s', 'peak MiB', 'after MiB'],
  [`from ${withCommas(compile.bytes)} bytes to ${withCommas(compile.answers)} answers`,
    (compile.parse_s + compile.compile_s).toFixed(2), compile.cpu_s.toFixed(2), compile.peak_mib.toFixed(0),
    compile.after_mib.toFixed(0)],
]);
writeJson(options.json, result);
