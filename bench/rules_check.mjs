// `signalbox rules check` on the rules of one large namespace, as an author or a continuous integration waits for it: start,
// JavaScript, validation, lint. Ten rules of all kinds on each Objective; 25,000 are about as many as one namespace may
// have.
//
//   node bench/rules_check.mjs [--quick] [--signalbox FILE] [--json FILE]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { manyRules } from './harness/many_rules.mjs';
import { cores } from './harness/processes.mjs';
import { median, printTable, withCommas, writeJson } from './harness/report.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    signalbox: { type: 'string', default: 'build/release/signalbox' },
    json: { type: 'string', default: 'build/bench/rules_check.json' },
  },
});
const SIZES = [10, 250, 2_500]; // Objectives
const runs = options.quick ? 3 : 9;
const [CORE] = cores(1);
const folder = mkdtempSync(path.join(tmpdir(), 'signalbox_bench_'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

// Seconds, and the most memory that it was seen with, in MiB.
async function check(file) {
  const start = process.hrtime.bigint();
  const child = spawn('taskset', ['-c', String(CORE), path.resolve(options.signalbox), 'rules', 'check', file]);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  let peak = 0;
  const look = setInterval(() => {
    try {
      const [, kib] = /VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
      peak = Math.max(peak, Number(kib ?? 0) / 1024);
    } catch {
      // It has ended.
    }
  }, 5);
  const [code] = await once(child, 'close');
  clearInterval(look);
  if (code !== 0) throw new Error(`rules check: exit ${code}\n${output.slice(0, 2000)}`);
  return { seconds: Number(process.hrtime.bigint() - start) / 1e9, peak_mib: peak };
}

const rows = [['rules', 'seconds', 'peak MiB']];
const result = {};
for (const objectives of SIZES) {
  const file = path.join(folder, `rules-${objectives}.js`);
  writeFileSync(file, manyRules(objectives));
  const samples = [];
  for (let run = 0; run < runs; ++run) samples.push(await check(file));
  const [seconds, peak] = [median(samples.map((each) => each.seconds)), median(samples.map((each) => each.peak_mib))];
  rows.push([withCommas(10 * objectives), seconds.toFixed(3), peak.toFixed(0)]);
  result[10 * objectives] = { seconds, peak_mib: peak, samples };
}
printTable(`signalbox rules check, one namespace, process start included, median of ${runs}`, rows);
writeJson(options.json, result);
