// One Objective's clients and hosts misbehave in every way that is known, and another Objective's requests are timed, through the same
// worker of the same proxy; on the same host, too, where what misbehaves costs the host no time. docs/benchmarks.md says how to read the result.
//
//   node bench/isolation.mjs [--seconds N] [--only NAME,NAME] [--signalbox FILE] [--json FILE] [--check]
//
// --check: for a test. Fails on any error of the good Objective, and where its p99 is beyond what a busy machine explains.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import http2 from 'node:http2';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { setPriority } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { freePort, waitForPort } from './harness/processes.mjs';
import { percentile, printTable, writeJson } from './harness/report.mjs';

const self = fileURLToPath(import.meta.url);
const grpc = (bytes) => {
  const frame = Buffer.alloc(5 + bytes);
  frame.writeUInt32BE(bytes, 1);
  return frame;
};

// --- The host. It serves both Objectives, and does what a request asks for.

const hostDoes = {
  // The request is left unread and unanswered: Node gives the window back only for what is read.
  stall: () => {},
  reset: (stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR),
  garbage: (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'text/html', 'grpc-status': 'x'.repeat(100) });
    stream.end(Buffer.alloc(5000, 0xff));
  },
  headers: (stream) => {
    const fields = { ':status': 200, 'content-type': 'application/grpc' };
    for (let i = 0; i < 60; ++i) fields[`filler-${i}`] = 'f'.repeat(17_000);
    stream.respond(fields);
    stream.end();
  },
  download: (stream) => {
    stream.resume();
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    const more = () => stream.writable && stream.write(grpc(64_000), () => setImmediate(more));
    more();
  },
};

function runHost() {
  const server = http2.createServer({ settings: { maxConcurrentStreams: 100 }, maxSendHeaderBlockLength: 4 << 20 });
  server.on('sessionError', () => {});
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    const misbehave = hostDoes[headers['x-do']];
    if (misbehave !== undefined) return misbehave(stream);
    stream.resume();
    stream.on('end', () => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(grpc(100));
    });
  });
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
}

// --- Clients.

const REQUEST = { ':method': 'POST', ':path': '/app.Titles/Rank', 'content-type': 'application/grpc', te: 'trailers' };
const quietly = (emitter) => emitter.on('error', () => {});

// One request after the other on one connection, a few at a time, at a fixed rate whatever comes of them.
async function runGood(port, seconds) {
  const session = quietly(http2.connect(`http://127.0.0.1:${port}`));
  const latencies = [];
  const errors = {};
  let open = 0;
  const ask = () => {
    const began = performance.now();
    ++open;
    let outcome = 'no answer';
    const stream = quietly(session.request({ ...REQUEST, 'sb-objective': 'Good', 'grpc-timeout': '10S' }));
    stream.on('response', (fields) => (outcome = fields['grpc-status'] ?? outcome));
    stream.on('trailers', (fields) => (outcome = fields['grpc-status']));
    stream.resume();
    stream.on('close', () => {
      --open;
      if (outcome === '0') latencies.push(performance.now() - began);
      else errors[outcome] = (errors[outcome] ?? 0) + 1;
    });
    stream.end(grpc(4000));
  };
  const end = performance.now() + seconds * 1000;
  for (let due = performance.now(); due < end; due += 5) {
    if (due > performance.now()) await wait(due - performance.now());
    ask();
  }
  while (open > 0) await wait(5);
  process.send({ latencies, errors });
  session.destroy();
}

const each = (count, make) => Array.from({ length: count }, (_, i) => make(i));
const connectTo = (port) => quietly(http2.connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 65_535 } }));
const bad = (more = {}) => ({ ...REQUEST, 'sb-objective': 'Bad', ...more });
// On the host of the good one.
const badNeighbour = (more = {}) => ({ ...REQUEST, 'sb-objective': 'BadNeighbour', ...more });

// What a bad client does until it is killed.
const clientDoes = {
  flood: (port) =>
    each(2, () => {
      const session = connectTo(port);
      const ask = () => {
        if (session.destroyed) return;
        const stream = quietly(session.request(bad()));
        stream.resume();
        stream.on('close', () => setImmediate(ask));
        stream.end(grpc(100));
      };
      each(128, ask);
    }),
  // Opens downloads, and reads none of them.
  'never read': (port) =>
    each(2, () => {
      const session = connectTo(port);
      each(100, () => quietly(session.request(bad({ 'x-do': 'download' }))).end(grpc(10)));
    }),
  // Sends what its host does not read.
  'host never reads': (port) =>
    each(2, () => {
      const session = connectTo(port);
      const ask = () => {
        if (session.destroyed) return;
        const stream = quietly(session.request(badNeighbour({ 'x-do': 'stall' })));
        stream.on('close', () => setTimeout(ask, 20));
        stream.end(grpc(1 << 20));
      };
      each(100, ask);
    }),
  // Takes all streams that the host gives a connection.
  'host never answers': (port) =>
    each(4, () => {
      const session = connectTo(port);
      each(200, () => quietly(session.request(badNeighbour({ 'x-do': 'stall' }))).end(grpc(10)));
    }),
  resets: (port) =>
    each(2, () => {
      let session = connectTo(port);
      setInterval(() => {
        if (session.destroyed) session = connectTo(port);
        else each(40, () => quietly(session.request(bad())).close(http2.constants.NGHTTP2_CANCEL));
      }, 2);
    }),
  'host resets': (port) => hammer(port, 'reset'),
  'host sends garbage': (port) => hammer(port, 'garbage'),
  'host sends 1 MiB of headers': (port) => hammer(port, 'headers'),
  garbage: (port) =>
    each(4, () => {
      const connect = () => {
        const socket = quietly(net.connect(port, '127.0.0.1'));
        socket.on('connect', () => {
          // Half of them speak HTTP/2 first.
          if (Math.random() < 0.5) socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
          socket.write(Buffer.from(each(20_000, () => Math.floor(Math.random() * 256))));
        });
        socket.resume();
        socket.on('close', () => setTimeout(connect, 5));
      };
      connect();
    }),
  '1 MiB of headers': (port) =>
    each(2, () => {
      const more = Object.fromEntries(each(60, (i) => [`filler-${i}`, 'f'.repeat(17_000)]));
      let session = null;
      const ask = () => {
        if (session === null || session.destroyed) {
          session = quietly(http2.connect(`http://127.0.0.1:${port}`, { maxSendHeaderBlockLength: 4 << 20 }));
        }
        const stream = quietly(session.request(bad(more)));
        stream.resume();
        stream.on('close', () => setTimeout(ask, 5));
        stream.end();
      };
      ask();
    }),
};

function hammer(port, what) {
  return each(2, () => {
    const session = connectTo(port);
    const ask = () => {
      if (session.destroyed) return;
      const stream = quietly(session.request(bad({ 'x-do': what })));
      stream.resume();
      stream.on('close', () => setTimeout(ask, 5));
      stream.end(grpc(10));
    };
    each(20, ask);
  });
}

// --- The measurement.

const rules = `export default [
  {objective: Objectives.Good, defaultModel: {name: 'good'}},
  {objective: Objectives.Bad, defaultModel: {name: 'bad'}, policy: 'bad'},
  {objective: Objectives.BadNeighbour, defaultModel: {name: 'bad-neighbour'}, policy: 'bad'},
  {policyId: 'bad', limits: {requestsPerSecond: 500, burst: 100}},
];`;

function start(role, ...args) {
  const child = fork(self, ['--role', role, ...args.map(String)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  children.add(child);
  child.on('exit', () => children.delete(child));
  return child;
}
const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

async function measure(port, seconds, name) {
  const misbehaving = name === undefined ? null : start('bad', port, name);
  if (misbehaving !== null) await wait(300); // it has begun
  const [result] = await once(start('good', port, seconds), 'message');
  if (misbehaving !== null) {
    misbehaving.kill('SIGKILL');
    await once(misbehaving, 'exit');
  }
  const sorted = result.latencies.sort((a, b) => a - b);
  const errors = Object.values(result.errors).reduce((sum, count) => sum + count, 0);
  const at = (share) => percentile(sorted, share) ?? NaN;
  return { name, answers: sorted.length, errors, kinds: result.errors, p50: at(0.5), p99: at(0.99) };
}

async function main() {
  const { values: options } = parseArgs({
    options: {
      seconds: { type: 'string', default: '8' },
      only: { type: 'string' },
      signalbox: { type: 'string', default: 'build/release/signalbox' },
      json: { type: 'string' },
      check: { type: 'boolean', default: false },
    },
  });
  const seconds = Number(options.seconds);
  const folder = mkdtempSync(path.join(tmpdir(), 'signalbox_isolation_'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const startHost = async (priority) => `127.0.0.1:${(await once(start('host', priority), 'message'))[0].port}`;
  const shards = { s1: [await startHost(0)], s2: [await startHost(19)] };
  writeFileSync(path.join(folder, 'rules.js'), rules);
  const placement = { shards, models: { good: ['s1'], 'bad-neighbour': ['s1'], bad: ['s2'] } };
  writeFileSync(path.join(folder, 'placement.json'), JSON.stringify(placement));
  const port = await freePort();
  const proxy = spawn(
    options.signalbox,
    ['proxy', '--listen', `127.0.0.1:${port}`, '--rules', path.join(folder, 'rules.js'), '--placement',
      path.join(folder, 'placement.json'), '--workers', '1'],
    { stdio: ['ignore', 'pipe', 'pipe'] });
  const seen = { output: '', get exitCode() { return proxy.exitCode; } };
  for (const stream of [proxy.stdout, proxy.stderr]) stream.on('data', (text) => (seen.output += text));
  children.add(proxy);
  await waitForPort(port, seen, 'the proxy');

  const names = options.only?.split(',') ?? Object.keys(clientDoes);
  await measure(port, 1); // everybody is warm
  const rows = [['what the other Objective does', 'answers', 'errors', 'p50 ms', 'alone', 'p99 ms', 'alone', 'p99 ratio']];
  const results = [];
  let alone;
  for (const name of names) {
    // Each beside its own measure of a quiet proxy: machines change while a benchmark runs.
    if (alone === undefined || !options.check) alone = await measure(port, seconds);
    const result = { ...(await measure(port, seconds, name)), alone };
    results.push(result);
    rows.push([
      name, String(result.answers), String(result.errors), result.p50.toFixed(2), alone.p50.toFixed(2), result.p99.toFixed(2),
      alone.p99.toFixed(2), (result.p99 / alone.p99).toFixed(2),
    ]);
  }
  printTable('One Objective misbehaves, another is timed', rows);
  if (options.json !== undefined) writeJson(options.json, results);
  let failed = proxy.exitCode !== null;
  if (failed) console.log(`the proxy ended:\n${seen.output}`);
  for (const result of results) {
    if (result.errors > 0) console.log(`${result.name}: errors by gRPC status: ${JSON.stringify(result.kinds)}`);
    failed ||= result.errors > 0 || !(result.p99 <= Math.max(250, 20 * result.alone.p99));
  }
  process.exit(options.check && failed ? 1 : 0);
}

const [, , flag, role, port, argument] = process.argv;
if (flag !== '--role') {
  await main();
} else {
  process.on('disconnect', () => process.exit(0));
  if (role === 'host') {
    setPriority(Number(port));
    runHost();
  }
  if (role === 'good') await runGood(port, Number(argument));
  if (role === 'bad') {
    setPriority(19); // what is measured is the proxy, not who gets the cores
    clientDoes[argument](port);
  }
}
