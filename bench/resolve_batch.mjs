// `signalbox resolve --batch` as its users run it: the command with rules in JavaScript, one core, from a file and from
// a pipe. Aim: 300,000 lines a second.
//
//   node bench/resolve_batch.mjs [--quick] [--signalbox FILE] [--json FILE]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { cores } from './harness/processes.mjs';
import { median, printTable, withCommas, writeJson } from './harness/report.mjs';
import { OBJECTIVES, objectiveName, ruleFile } from './harness/rules.mjs';

const [CORE] = cores(1);

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    signalbox: { type: 'string', default: 'build/release/signalbox' },
    json: { type: 'string', default: 'build/bench/resolve_batch.json' },
  },
});
const lines = options.quick ? 500_000 : 2_000_000;
const rounds = options.quick ? 3 : 5;
const folder = mkdtempSync(path.join(tmpdir(), 'signalbox_bench_'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const rules = path.join(folder, 'rules.js');
writeFileSync(rules, ruleFile());

function writeContexts(file) {
  const out = openSync(file, 'w');
  let bytes = 0;
  for (let i = 0; i < lines; ) {
    let chunk = '';
    for (; chunk.length < 1 << 20 && i < lines; ++i) {
      chunk += `{"objective":"${objectiveName(i % OBJECTIVES)}","user":"member-${(i * 2654435761) % 4294967296}",` +
        '"country":"US","device":"tv","locale":"en-US","surface":"home","tenant":"web",' +
        `"attributes":{"plan":"basic","app":"7.12.${i % 10}"}}\n`;
    }
    bytes += writeSync(out, chunk);
  }
  closeSync(out);
  return bytes;
}

// Wall-clock seconds, from the start of the process to its end.
async function time(command) {
  const start = process.hrtime.bigint();
  const child = spawn('bash', ['-c', `set -o pipefail; ${command}`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${command}: exit ${code}`);
  return Number(process.hrtime.bigint() - start) / 1e9;
}

const contexts = path.join(folder, 'contexts.jsonl');
const empty = path.join(folder, 'empty.jsonl');
writeFileSync(empty, '');
const bytes = writeContexts(contexts);
const resolve = `taskset -c ${CORE} ${path.resolve(options.signalbox)} resolve --rules ${rules} --batch`;
const ways = {
  'start alone (rules, no lines)': `${resolve} ${empty} > /dev/null`,
  'from a file': `${resolve} ${contexts} > /dev/null`,
  'from a pipe': `cat ${contexts} | ${resolve} > /dev/null`,
};
const samples = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
for (let round = 0; round < rounds; ++round) {
  for (const [name, command] of Object.entries(ways)) samples[name].push(await time(command));
}

const rows = [['signalbox resolve --batch', 'seconds', 'lines/s']];
const result = { lines, bytes_per_line: bytes / lines, rounds, ways: {} };
for (const [name, seconds] of Object.entries(samples)) {
  const each = median(seconds);
  const perSecond = name.startsWith('start') ? null : lines / each;
  result.ways[name] = { seconds: each, lines_per_s: perSecond };
  rows.push([name, each.toFixed(3), perSecond === null ? '' : withCommas(perSecond)]);
}
printTable(`${withCommas(lines)} request contexts of ${Math.round(bytes / lines)} bytes, one core, process start ` +
  `included, median of ${rounds}`, rows);
writeJson(options.json, result);
