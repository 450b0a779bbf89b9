// How long a publish takes to be in effect: from its beginning to the last acknowledgement of 1, 100 and 1,000
// subscribers, through a store (SQLite, and etcd with one member), a control plane with a managed fleet and one model
// host that joined. Then rollbacks, a control plane that is killed and started again under 1,000 subscribers, and what
// the control plane of the demo's fleet takes while nothing happens.
//
//   node bench/publish_effect.mjs [--quick] [--signalbox FILE] [--json FILE]
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { cores, cpuMicroseconds, freePort, startOn, waitForPort } from './harness/processes.mjs';
import { percentile, printTable, withCommas, writeJson } from './harness/report.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    subscribers: { type: 'string', default: '1,100,1000' },
    engines: { type: 'string', default: 'sqlite,etcd' },
    signalbox: { type: 'string', default: 'build/release/signalbox' },
    json: { type: 'string', default: 'build/bench/publish_effect.json' },
  },
});
const AIMS_MS = { 1: 50, 100: 100, 1000: 250 };
const ROLLBACK_AIM_MS = 1000;
const ETCD_FACTOR = 2;
const STORM = 1000;
const publishes = options.quick ? 20 : 100;
const rollbacks = options.quick ? 5 : 20;
const idleSeconds = 20;

const source = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const signalbox = path.resolve(options.signalbox);
const program = path.join(path.dirname(signalbox), 'bench/publish_effect');
const folder = mkdtempSync(path.join(tmpdir(), 'signalbox_bench_'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
// Nothing has a core of its own: on one machine all share what there is.
const everywhere = cores(2).join(',');
const start = (command, args) => startOn(everywhere, command, args);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function signalboxToEnd(args) {
  const { status, stdout, stderr } = spawnSync(signalbox, args, { encoding: 'utf8', cwd: source });
  if (status !== 0) throw new Error(`signalbox ${args.join(' ')}: exit ${status}\n${stdout}${stderr}`);
}

async function stop(...processes) {
  for (const each of processes) each.kill('SIGTERM');
  const deadline = Date.now() + 15_000;
  while (processes.some((each) => each.exitCode === null)) {
    if (Date.now() > deadline) for (const each of processes) each.kill('SIGKILL');
    await wait(20);
  }
}

const models = path.join(folder, 'models');
signalboxToEnd(['train', '--data', path.join(source, 'node_modules/vega-datasets/data'), '--out', models]);

let systems = 0;

// A store, a control plane, and hosts that join it.
async function startSystem(engine, shards, hosts) {
  const own = path.join(folder, `system${++systems}`);
  mkdirSync(own);
  const processes = [];
  let store = `sqlite:${path.join(own, 'store.db')}`;
  if (engine === 'etcd') {
    const [client, peer] = [await freePort(), await freePort()];
    const urls = [client, peer].map((port) => `http://127.0.0.1:${port}`);
    const etcd = start('etcd', ['--name', 'm0', '--data-dir', path.join(own, 'etcd'), '--listen-client-urls', urls[0],
      '--advertise-client-urls', urls[0], '--listen-peer-urls', urls[1], '--initial-advertise-peer-urls', urls[1],
      '--initial-cluster', `m0=${urls[1]}`]);
    await waitForPort(client, etcd, 'etcd');
    processes.push(etcd);
    store = `etcd:127.0.0.1:${client}`;
  }
  const fleet = path.join(own, 'fleet.json');
  writeFileSync(fleet, JSON.stringify({
    shards: Object.fromEntries(Object.keys(shards).map((shard) => [shard, {}])),
    models: Object.fromEntries(Object.entries(shards).map(([shard, model]) => [model, { shards: [shard] }])),
  }));
  const port = await freePort();
  const startControl = () =>
    start(signalbox, ['control', '--store', store, '--fleet', fleet, '--node-id', 'bench', '--listen', `127.0.0.1:${port}`]);
  let control = startControl();
  await waitForPort(port, control, 'signalbox control');
  for (const [i, shard] of hosts.entries()) {
    processes.push(start(signalbox, ['host', '--repository', models, '--load', 'none', '--listen', '127.0.0.1:0',
      '--port-file', path.join(own, `host${i}`), '--join', `127.0.0.1:${port}`, '--shard', shard, '--host-id', `host-${i}`]));
  }
  const give_up = Date.now() + 30_000;
  while (!hosts.every((_, i) => existsSync(path.join(own, `host${i}`)))) {
    if (Date.now() > give_up) throw new Error(`hosts do not listen after 30 s:\n${processes.map(({ output }) => output).join('\n')}`);
    await wait(20);
  }
  return {
    store, port, own, processes,
    get control() { return control; },
    async kill() {
      control.kill('SIGKILL');
      while (control.exitCode === null) await wait(1);
    },
    startAgain() { control = startControl(); },
    stop: () => stop(control, ...processes.toReversed()),
  };
}

const residentMib = (pid) => Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

// Runs the program to its end. -> its events; while a restart is measured it plays its part in it.
async function measure(system, subscribers, { publishes = 0, rollbacks = 0, restarts = 0 }) {
  const child = spawn(program, [system.store, `127.0.0.1:${system.port}`, String(subscribers), String(publishes),
    String(rollbacks), String(restarts)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const kill = () => child.kill('SIGKILL');
  process.on('exit', kill);
  const ended = once(child, 'exit');
  const events = [];
  for await (const line of readline.createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    if (event.event === 'started') {
      event.rss_mib = residentMib(system.control.pid);
      event.cpu_ms = cpuMicroseconds(system.control.pid) / 1000;
    } else if (event.event === 'stop') {
      await system.kill();
    } else if (event.event === 'away') {
      event.unix_us = Date.now() * 1000;
      system.startAgain();
    } else if (event.event === 'back') {
      event.cpu_ms = cpuMicroseconds(system.control.pid) / 1000;
      event.rss_mib = residentMib(system.control.pid);
    }
    events.push(event);
  }
  const [code] = await ended;
  process.off('exit', kill);
  if (code !== 0) throw new Error(`publish_effect ended with ${code}; the control plane said:\n${system.control.output}`);
  return events;
}

function figuresOf(events, kind) {
  const sorted = (key) => events.filter(({ event }) => event === kind).map((event) => event[key]).sort((a, b) => a - b);
  const all = sorted('ms');
  const p50 = (key) => percentile(sorted(key), 0.5);
  return { times: all.length, p50_ms: percentile(all, 0.5), p99_ms: percentile(all, 0.99), max_ms: all.at(-1),
    written_p50_ms: p50('written_ms'), first_p50_ms: p50('first_ms'), cpu_p50_ms: p50('subscribers_cpu_ms'),
    events: events.filter(({ event }) => event === kind) };
}

const ms = (value) => value.toFixed(1);
const counts = options.subscribers.split(',').map(Number);
const effects = [];
const rollback = [];
const storms = [];
for (const engine of options.engines.split(',')) {
  for (const count of counts) {
    const system = await startSystem(engine, { films: 'title-ranker' }, ['films']);
    const storm = count === STORM;
    const events = await measure(system, count, { publishes, rollbacks, restarts: storm ? (options.quick ? 1 : 3) : 0 });
    effects.push({ engine, count, ...figuresOf(events, 'publish') });
    rollback.push({ engine, count, ...figuresOf(events, 'rollback') });
    if (storm) {
      const [first] = events.filter(({ event }) => event === 'started');
      storms.push({ engine, kind: 'all start at once', ms: first.ms, cpu_ms: null, rss_mib: first.rss_mib });
      const aways = events.filter(({ event }) => event === 'away');
      for (const [i, back] of events.filter(({ event }) => event === 'back').entries()) {
        storms.push({ engine, kind: 'control plane killed and started', ms: (back.unix_us - aways[i].unix_us) / 1000,
          cpu_ms: back.cpu_ms, rss_mib: back.rss_mib });
      }
    }
    await system.stop();
  }
}
const table = (figures, aimOf) => [
  ['store, subscribers', 'times', 'p50 ms', 'p99 ms', 'max ms', 'aim p99', 'written p50', 'first p50', 'CPU of all'],
  ...figures.map((each) => [`${each.engine}, ${withCommas(each.count)}`, String(each.times), ms(each.p50_ms),
    ms(each.p99_ms), ms(each.max_ms), aimOf(each) === undefined ? '' : String(aimOf(each)), ms(each.written_p50_ms),
    ms(each.first_p50_ms), ms(each.cpu_p50_ms)]),
];
printTable('From the beginning of a publish to the last acknowledgement', table(effects, ({ engine, count }) =>
  AIMS_MS[count] === undefined ? undefined : AIMS_MS[count] * (engine === 'etcd' ? ETCD_FACTOR : 1)));
printTable('The same for a rollback', table(rollback, () => ROLLBACK_AIM_MS));
if (storms.length > 0) {
  printTable(`${withCommas(STORM)} subscribers that come at once, until all have the snapshot`, [
    ['', 'seconds', 'CPU s of the control plane', 'its RSS MiB'],
    ...storms.map((each) => [`${each.engine}, ${each.kind}`, (each.ms / 1000).toFixed(2),
      each.cpu_ms === null ? '' : (each.cpu_ms / 1000).toFixed(2), each.rss_mib.toFixed(0)]),
  ]);
}

// The demo's fleet, rules and proxy, and no requests.
const demo = await startSystem('sqlite', { films: 'title-ranker', flights: 'arrival-delay' }, ['films', 'films', 'flights']);
const where = ['--namespace', 'demo', '--store', demo.store];
signalboxToEnd(['rules', 'publish', path.join(source, 'examples/rules/demo'), ...where]);
signalboxToEnd(['rollout', 'status', '--watch', ...where]);
const proxyPort = await freePort();
const proxy = start(signalbox, ['proxy', '--control', `127.0.0.1:${demo.port}`, '--state-dir', path.join(demo.own, 'state'),
  '--node-id', 'proxy', '--listen', `127.0.0.1:${proxyPort}`]);
await waitForPort(proxyPort, proxy, 'signalbox proxy');
await wait(3_000);
const [cpuBefore, from] = [cpuMicroseconds(demo.control.pid), performance.now()];
await wait(idleSeconds * 1000);
const idle = { cpu_percent: (cpuMicroseconds(demo.control.pid) - cpuBefore) / (performance.now() - from) / 10,
  rss_mib: residentMib(demo.control.pid) };
await stop(proxy);
await demo.stop();
printTable(`Control plane, idle for ${idleSeconds} s: three hosts in two shards, one proxy (aims: 1 %, 100 MB)`, [
  ['', 'CPU % of a core', 'RSS MiB'], ['idle', idle.cpu_percent.toFixed(2), idle.rss_mib.toFixed(0)]]);

writeJson(options.json, { publishes: effects, rollbacks: rollback, storms, idle });
process.exit(0);
