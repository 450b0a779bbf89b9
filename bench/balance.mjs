// Which of eight hosts a request goes to: in turn, by signalbox, and by an oracle. One host is five times as slow as the
// others, one is new and cold. Hosts serve by waiting (bench/open_loop/timed_hosts.cc), requests come when they are due
// (open_loop.cc), the same ones in each run. docs/benchmarks.md says how to read the result.
//
//   node bench/balance.mjs [--quick] [--rounds N] [--signalbox FILE] [--json FILE]
//
// `turns` and `oracle` go straight to the hosts, without a proxy between: what they lack in latency by that is theirs.
// The oracle knows every queue and how fast each host is at this moment, and joins the shortest expected delay.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { runOpenLoop, startTimedHosts } from './harness/open_loop.mjs';
import { cores, freePort, startOn, waitForPort } from './harness/processes.mjs';
import { median, printTable, writeJson } from './harness/report.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    signalbox: { type: 'string', default: 'build/release/signalbox' },
    json: { type: 'string', default: 'build/bench/balance.json' },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 5));
const seconds = options.quick ? 10 : 30;
const WARMUP_SECONDS = 2;
const [PROXY_CORE, OTHER_CORE] = cores(2);

const MEAN_WORK_US = 20_000;
const PLACES = 4;
const HOSTS = Array.from({ length: 8 }, (_, i) => ({
  places: PLACES,
  factor: i === 0 ? 5 : 1,
  // The first requests that it ever gets take ten times as long.
  ...(i === 1 ? { coldRequests: 100, coldFactor: 10 } : {}),
}));
const CAPACITY_PER_SECOND = HOSTS.reduce((sum, { factor }) => sum + (PLACES / factor) * (1e6 / MEAN_WORK_US), 0);
// At the first the slow host can do what its turns bring; not so at the others, where queues in front of it grow for as
// long as the run lasts.
const LOADS = [0.1, 0.5, 0.7];

const folder = mkdtempSync(path.join(tmpdir(), 'signalbox_bench_'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

async function startProxy(ports) {
  const port = await freePort();
  const write = (name, text) => {
    writeFileSync(path.join(folder, name), text);
    return path.join(folder, name);
  };
  const rules = write('rules.js', "export default [{ objective: Objectives.Ranking, defaultModel: { name: 'ranker' } }];\n");
  const placement = write('placement.json',
    JSON.stringify({ shards: { s: ports.map((host) => `127.0.0.1:${host}`) }, models: { ranker: ['s'] } }));
  const child = startOn(PROXY_CORE, path.resolve(options.signalbox),
    ['proxy', '--listen', `127.0.0.1:${port}`, '--workers', '1', '--rules', rules, '--placement', placement]);
  await waitForPort(port, child, 'signalbox');
  return { port, stop: () => child.kill('SIGKILL') };
}

async function measure(way, load, seed) {
  // Anew each time: what was cold must be cold again.
  const hosts = await startTimedHosts(OTHER_CORE, { hosts: HOSTS });
  const proxy = way === 'signalbox' ? await startProxy(hosts.ports) : undefined;
  const target = proxy
    ? { port: proxy.port, connections: 8, classes: [{ headers: { 'sb-objective': 'Ranking' } }] }
    : { hosts: HOSTS.map((host, i) => ({ ...host, port: hosts.ports[i] })), connections: 1, choice: way };
  const result = await runOpenLoop(OTHER_CORE, {
    ...target,
    seed,
    warmupSeconds: WARMUP_SECONDS,
    phases: [{ rate: CAPACITY_PER_SECOND * load, seconds }],
    work: { distribution: 'exponential', meanUs: MEAN_WORK_US },
  });
  proxy?.stop();
  const served = (await hosts.report()).map((host) => host.served);
  await hosts.stop();
  const { sent, ok, outcomes, okUs } = result.phases[0].classes.all;
  if (way !== 'turns' && ok < sent * 0.99) throw new Error(`${way}: ${JSON.stringify(outcomes)}`);
  return { p50_ms: okUs.p50 / 1000, p99_ms: okUs.p99 / 1000, ok_share: ok / sent, served, late_p99_ms: result.lateUs.p99 / 1000 };
}

const WAYS = ['turns', 'signalbox', 'oracle'];
const output = { rounds, seconds, hosts: HOSTS, mean_work_us: MEAN_WORK_US, capacity_per_second: CAPACITY_PER_SECOND, loads: {} };
for (const load of LOADS) {
  const samples = Object.fromEntries(WAYS.map((way) => [way, []]));
  for (let round = 0; round < rounds; ++round) {
    for (const way of WAYS) samples[way].push(await measure(way, load, round + 1));
  }
  const of = (way, key) => median(samples[way].map((sample) => sample[key]));
  const ratio = (a, b) => median(samples[a].map((sample, i) => sample.p99_ms / samples[b][i].p99_ms));
  const ratios = { p99_of_turns: ratio('signalbox', 'turns'), p99_of_oracle: ratio('signalbox', 'oracle') };
  output.loads[load] = { samples, ratios };
  const rows = [['hosts are chosen by', 'p50 ms', 'p99 ms', 'answered', 'slow host got', 'generator late, p99 ms']];
  for (const way of WAYS) {
    const slow = median(samples[way].map(({ served }) => served[0] / served.reduce((sum, one) => sum + one, 0)));
    rows.push([way, of(way, 'p50_ms').toFixed(1), of(way, 'p99_ms').toFixed(1), `${(100 * of(way, 'ok_share')).toFixed(1)} %`,
      `${(100 * slow).toFixed(1)} %`, of(way, 'late_p99_ms').toFixed(2)]);
  }
  rows.push(['ours : turns, ours : oracle', '', `${ratios.p99_of_turns.toFixed(3)} x, ${ratios.p99_of_oracle.toFixed(2)} x`, '', '', '']);
  printTable(`Eight hosts, one 5 x slower, one cold; load ${load} of capacity, ${rounds} x ${seconds} s`, rows);
}
writeJson(options.json, output);
process.exit(0);
