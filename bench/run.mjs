// Every benchmark, one after the other, with their results as tables here and as JSON in BUILD/../bench.
//
//   bench/run [BUILD] [--quick]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { cores } from './harness/processes.mjs';
import { printTable, withCommas } from './harness/report.mjs';

const { values: options, positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const source = path.dirname(fileURLToPath(import.meta.url));
const build = path.resolve(positionals[0] ?? path.join(source, '../build/release'));
const results = path.join(build, '../bench');
mkdirSync(results, { recursive: true });
const failed = [];

function run(name, command, args) {
  const { status, signal, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) failed.push(`${name}: ${error?.message ?? `exit ${status ?? signal}`}`);
  return status === 0;
}

const NANOSECONDS = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

function textOfTime(nanoseconds) {
  const unit = nanoseconds < 1e3 ? 'ns' : nanoseconds < 1e6 ? 'us' : 'ms';
  return `${(nanoseconds / NANOSECONDS[unit]).toFixed(1)} ${unit}`;
}

// A Google Benchmark binary, its report turned into one of our tables.
function runBinary(name) {
  const binary = path.join(build, 'bench', name);
  if (!existsSync(binary)) return failed.push(`${name}: ${binary} is not there; build it with \`make build\``);
  const json = path.join(results, `${name}.json`);
  const args = ['-c', String(cores(1)[0]), binary, `--benchmark_out=${json}`, '--benchmark_out_format=json'];
  args.push(`--benchmark_min_time=${options.quick ? 0.2 : 1}`);
  const { status, stderr } = spawnSync('taskset', args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
  if (status !== 0) return failed.push(`${name}: exit ${status}\n${stderr}`);
  const { benchmarks } = JSON.parse(readFileSync(json, 'utf8'));
  for (const each of benchmarks) if (each.error_occurred) failed.push(`${each.name}: ${each.error_message}`);
  const standard = new Set(['name', 'family_index', 'per_family_instance_index', 'run_name', 'run_type', 'repetitions',
    'repetition_index', 'threads', 'iterations', 'real_time', 'cpu_time', 'time_unit']);
  const counters = [...new Set(benchmarks.flatMap((each) => Object.keys(each).filter((key) => !standard.has(key))))];
  const textOfCounter = (value) =>
    value === undefined ? '' : value >= 1000 ? withCommas(value) : String(Number(value.toFixed(3)));
  const rows = [['', 'CPU', 'wall clock', ...counters]];
  for (const each of benchmarks) {
    const text = (key) => textOfTime(each[key] * NANOSECONDS[each.time_unit]);
    rows.push([each.name.replace(/\/.*/, ''), text('cpu_time'), text('real_time'),
      ...counters.map((key) => textOfCounter(each[key]))]);
  }
  printTable(`${name}, one core`, rows);
}

const signalbox = path.join(build, 'signalbox');
const script = (name) => [
  path.join(source, `${name}.mjs`), '--signalbox', signalbox, '--json', path.join(results, `${name}.json`),
  ...(options.quick ? ['--quick'] : []),
];
for (const name of ['allocate_bench', 'assign_bench', 'decide_bench', 'rules_bench', 'resolve_batch_bench']) runBinary(name);
const SCRIPTS = ['decision_scale', 'experiment_peers', 'rules_check', 'snapshot_swap', 'publish_effect', 'resolve_batch',
  'proxy_peers', 'balance'];
for (const name of SCRIPTS) run(name, process.execPath, script(name));

if (failed.length > 0) {
  console.error(`\nfailed:\n  ${failed.join('\n  ')}`);
  process.exit(1);
}
