// What requests see of a swap: a proxy under steady load, while snapshots of 100,000 rules take each other's place. Their
// latencies during swaps (from the sending of a snapshot until the proxy runs it, and half a second more, in which the
// old one is freed) against those in between.
//
//   node bench/snapshot_swap.mjs [--quick] [--swaps N] [--signalbox FILE] [--json FILE]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { parseArgs } from 'node:util';

import { inferRequest, inferResponse } from './harness/grpc_body.mjs';
import { cores, freePort, startOn, waitForPort } from './harness/processes.mjs';
import { percentile, printTable, withCommas, writeJson } from './harness/report.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    swaps: { type: 'string' },
    signalbox: { type: 'string', default: 'build/release/signalbox' },
    json: { type: 'string', default: 'build/bench/snapshot_swap.json' },
  },
});
const AIM = 2;
const OBJECTIVES = 10_000;
const CONNECTIONS = 8;
const PER_SECOND = 2_000; // far below what the proxy can do: what is measured is waiting, not saturation
const PAUSE_MS = 1_000;
const FREEING_US = 500_000;
const METHOD = '/inference.GRPCInferenceService/ModelInfer';
const swaps = Number(options.swaps ?? (options.quick ? 3 : 12));

const signalbox = path.resolve(options.signalbox);
// The proxy has both cores, as the thread that takes snapshots needs one while the worker answers; everything else
// shares the second.
const [first, second] = cores(2);
const folder = mkdtempSync(path.join(tmpdir(), 'signalbox_bench_'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const answer = path.join(folder, 'htdocs', METHOD);
mkdirSync(path.dirname(answer), { recursive: true });
writeFileSync(answer, inferResponse(128));
const backendPort = await freePort();
const backend = startOn(second, 'nghttpd', ['--no-tls', '-a', '127.0.0.1', '-d', path.join(folder, 'htdocs'),
  '--trailer', 'grpc-status: 0', String(backendPort)]);
await waitForPort(backendPort, backend, 'nghttpd');

// Events come as lines; whoever waits for one gets all of them up to it.
const control = spawn('taskset', ['-c', String(second), path.join(path.dirname(signalbox), 'bench/snapshot_swaps'),
  `127.0.0.1:${backendPort}`, String(OBJECTIVES), String(swaps), String(PAUSE_MS)], { stdio: ['ignore', 'pipe', 'inherit'] });
process.on('exit', () => control.kill('SIGKILL'));
const events = [];
const lines = readline.createInterface({ input: control.stdout });
lines.on('line', (line) => events.push(JSON.parse(line)));
async function event(name, number) {
  for (;;) {
    const found = events.find((each) => each.event === name && (number === undefined || each.number === number));
    if (found) return found;
    if (control.exitCode) throw new Error(`snapshot_swaps ended with ${control.exitCode}`);
    await Promise.race([once(lines, 'line'), once(control, 'exit')]);
  }
}
const { number: controlPort } = await event('port');

const proxyPort = await freePort();
const proxy = startOn(`${first},${second}`, signalbox, ['proxy', '--workers', '1', '--listen', `127.0.0.1:${proxyPort}`,
  '--control', `127.0.0.1:${controlPort}`, '--state-dir', path.join(folder, 'state'), '--node-id', 'bench']);
await event('running', 1);
await waitForPort(proxyPort, proxy, 'signalbox');

const body = path.join(folder, 'body');
writeFileSync(body, inferRequest('ContinueWatchingRanking42', 1 << 10));
const log = path.join(folder, 'h2load.log');
const load = spawn('taskset', ['-c', String(second), 'h2load', `-c${CONNECTIONS}`, '-m16', '-d', body,
  `--rps=${PER_SECOND / CONNECTIONS}`, `--log-file=${log}`, '-D', '600', '-H', 'content-type: application/grpc', '-H', 'te: trailers',
  '-H', 'sb-user: member-4711', `http://127.0.0.1:${proxyPort}${METHOD}`], { stdio: 'ignore' });
if (control.exitCode === null) await once(control, 'exit');
if (control.exitCode !== 0) throw new Error(`snapshot_swaps ended with ${control.exitCode}`);
load.kill('SIGINT');
if (load.exitCode === null && load.signalCode === null) await once(load, 'exit');
if (proxy.exitCode !== null) throw new Error(`the proxy ended with ${proxy.exitCode}:\n${proxy.output}`);

// [{from, to, kind}] in microseconds, from the second snapshot on. While the next one is made the control plane takes
// time from the load generator, which is no swap: left out.
const windows = [];
const at = (name, number) => events.find((each) => each.event === name && each.number === number)?.unix_us;
for (let number = 2; number <= swaps + 1; ++number) {
  const running = at('running', number);
  windows.push({ kind: 'without', from: at('made', number), to: at('sent', number) });
  windows.push({ kind: 'swap', from: at('sent', number), to: running + FREEING_US });
  windows.push({ kind: 'without', from: running + FREEING_US, to: running + PAUSE_MS * 1000 });
}
const latencies = { swap: [], without: [] };
let failed = 0;
for (const row of readFileSync(log, 'utf8').trimEnd().split('\n')) {
  const [start, status, microseconds] = row.split('\t').map(Number);
  if (status !== 200) ++failed;
  // A request belongs to a window when it is under way in it.
  const window = windows.find(({ from, to }) => start < to && start + microseconds >= from);
  if (window) latencies[window.kind].push(microseconds);
}
if (failed > 0) throw new Error(`${failed} requests failed`);

const rows = [['', 'requests', 'p50 us', 'p99 us', 'p99.9 us', 'max us']];
const figures = {};
for (const kind of ['without', 'swap']) {
  const sorted = latencies[kind].sort((a, b) => a - b);
  figures[kind] = { requests: sorted.length, p50_us: percentile(sorted, 0.5), p99_us: percentile(sorted, 0.99),
    p999_us: percentile(sorted, 0.999), max_us: sorted.at(-1) };
  rows.push([kind === 'swap' ? 'during a swap' : 'without', ...Object.values(figures[kind]).map(withCommas)]);
}
const ratio = (key) => figures.swap[key] / figures.without[key];
rows.push(['ratio', '', ...['p50_us', 'p99_us', 'p999_us', 'max_us'].map((key) => `${ratio(key).toFixed(2)} x`)]);
const took = windows.filter(({ kind }) => kind === 'swap').map(({ from, to }) => to - from - FREEING_US).sort((a, b) => a - b);
printTable(`${swaps} swaps of ${withCommas(10 * OBJECTIVES)} rules at ${withCommas(PER_SECOND)} requests/s (aim: p99 at most ${AIM} x)`, rows);
console.log(`  a swap took ${(percentile(took, 0.5) / 1e6).toFixed(2)} s from sending to running, in the median`);
writeJson(options.json, { swaps, per_second: PER_SECOND, figures, p99_ratio: ratio('p99_us'), swap_us: took });
process.exit(0);
