// Compares proxies on the same requests: ours, which decides and enriches every one of them, and three that only pass
// them on. docs/benchmarks.md says how to read the result.
//
//   node bench/proxy_peers.mjs [--quick] [--rounds N] [--only NAME,NAME] [--signalbox FILE] [--json FILE]
import http2 from 'node:http2';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { inferRequest, inferResponse } from './harness/grpc_body.mjs';
import { cores, cpuMicroseconds, freePort, runOn, startOn, waitForPort } from './harness/processes.mjs';
import { CONNECTION_WINDOW_BITS, WINDOW_BITS, proxies } from './harness/proxies.mjs';
import { median, percentile, printTable, withCommas, writeJson } from './harness/report.mjs';
import { objectiveName } from './harness/rules.mjs';

// The proxies, of which one works at a time, and the backend with the clients.
const [PROXY_CORE, OTHER_CORE] = cores(2);
const CONNECTIONS = 8;
const STREAMS = 8;
const NO_PROXY = '(no proxy)'; // what the backend and the clients do by themselves
const METHOD = '/inference.GRPCInferenceService/ModelInfer';
const RESPONSE_BYTES = 128;
const HEADERS = { 'content-type': 'application/grpc', te: 'trailers', 'sb-user': 'member-4711' };
const SIZES = [
  { name: '1 KiB', bytes: 1 << 10, requests: 60_000, quick: 15_000 },
  { name: '64 KiB', bytes: 64 << 10, requests: 15_000, quick: 4_000 },
];

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    signalbox: { type: 'string', default: 'build/release/signalbox' },
    json: { type: 'string', default: 'build/bench/proxy_peers.json' },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 3 : 9));
const folder = mkdtempSync(path.join(tmpdir(), 'signalbox_bench_'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

// nghttpd answers every POST with the same file: a gRPC message, and the status in a trailer as gRPC wants it.
async function startBackend() {
  const file = path.join(folder, 'htdocs', METHOD);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, inferResponse(RESPONSE_BYTES));
  const port = await freePort();
  const backend = startOn(OTHER_CORE, 'nghttpd', [
    '--no-tls', '-a', '127.0.0.1', '-d', path.join(folder, 'htdocs'), `-w${WINDOW_BITS}`, `-W${CONNECTION_WINDOW_BITS}`,
    '--trailer', 'grpc-status: 0', String(port),
  ]);
  await waitForPort(port, backend, 'nghttpd');
  return port;
}

async function startProxy({ name, command }, backendPort) {
  const port = await freePort();
  const own = path.join(folder, name);
  mkdirSync(own);
  const [executable, args] = command(port, backendPort, own);
  const child = startOn(PROXY_CORE, executable, args);
  await waitForPort(port, child, name);
  return { name, port, pid: child.pid };
}

// One request by hand: the answer must be the backend's, and ours must say which model an experiment chose.
async function checkAnswer({ name, port }, body) {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  try {
    const stream = session.request({ ':method': 'POST', ':path': METHOD, ...HEADERS });
    let headers = {};
    let trailers = {};
    let bytes = 0;
    stream.on('response', (fields) => (headers = fields));
    stream.on('trailers', (fields) => (trailers = fields));
    stream.on('data', (chunk) => (bytes += chunk.length));
    stream.end(body);
    await new Promise((resolve, reject) => {
      stream.on('close', resolve);
      stream.on('error', reject);
      session.on('error', reject);
    });
    const grpcStatus = trailers['grpc-status'] ?? headers['grpc-status'];
    if (headers[':status'] !== 200 || grpcStatus !== '0' || bytes !== RESPONSE_BYTES + 5) {
      const message = trailers['grpc-message'] ?? headers['grpc-message'] ?? '';
      throw new Error(`${name}: status ${headers[':status']}, grpc-status ${grpcStatus} ${message}, ${bytes} bytes`);
    }
    if (name === 'signalbox' && headers['sb-reason'] !== 'experiment')
      throw new Error(`signalbox decided by ${headers['sb-reason']}, expected by an experiment`);
  } finally {
    session.destroy();
  }
}

// The port is open before the first snapshot is in effect.
async function checkAnswerSoon(...of) {
  for (const end = Date.now() + 10_000; ; ) {
    try {
      return await checkAnswer(...of);
    } catch (error) {
      if (Date.now() > end || !error.message.includes('no snapshot yet')) throw error;
    }
  }
}

async function load(port, bodyFile, requests, logFile) {
  const args = [`-c${CONNECTIONS}`, `-m${STREAMS}`, `-n${requests}`, '-d', bodyFile];
  for (const [name, value] of Object.entries(HEADERS)) args.push('-H', `${name}: ${value}`);
  if (logFile) args.push(`--log-file=${logFile}`);
  return runOn(OTHER_CORE, 'h2load', [...args, `http://127.0.0.1:${port}${METHOD}`]);
}

async function measure(proxy, bodyFile, requests) {
  await load(proxy.port, bodyFile, Math.ceil(requests / 10)); // connections to the backend, memory, caches
  const log = path.join(folder, 'h2load.log');
  rmSync(log, { force: true });
  const before = proxy.pid ? cpuMicroseconds(proxy.pid) : NaN;
  const report = await load(proxy.port, bodyFile, requests, log);
  const cpu = proxy.pid ? cpuMicroseconds(proxy.pid) - before : NaN;
  const [, succeeded] = /(\d+) succeeded/.exec(report);
  const [, perSecond] = /([\d.]+) req\/s/.exec(report);
  if (Number(succeeded) !== requests) throw new Error(`${proxy.name}: ${succeeded} of ${requests} succeeded\n${report}`);
  const latencies = readFileSync(log, 'utf8').trimEnd().split('\n').map((row) => Number(row.split('\t')[2]));
  latencies.sort((a, b) => a - b);
  return {
    cpu_us: cpu / requests,
    requests_per_s: Number(perSecond),
    p50_us: percentile(latencies, 0.5),
    p99_us: percentile(latencies, 0.99),
  };
}

const COLUMNS = [
  { key: 'cpu_us', head: 'CPU us/request', best: Math.min, text: (value) => (Number.isNaN(value) ? '' : value.toFixed(2)) },
  { key: 'requests_per_s', head: 'requests/s', best: Math.max, text: withCommas },
  { key: 'p50_us', head: 'p50 us', best: Math.min, text: withCommas },
  { key: 'p99_us', head: 'p99 us', best: Math.min, text: withCommas },
];

// Medians of the rounds, and how ours compares with the best of the others: below 1 is better than it, whatever the
// column.
function summarise(samples) {
  const medians = {};
  for (const [name, runs] of Object.entries(samples)) {
    medians[name] = Object.fromEntries(COLUMNS.map(({ key }) => [key, median(runs.map((run) => run[key]))]));
  }
  const { signalbox, [NO_PROXY]: _, ...peers } = medians;
  const ratios = {};
  for (const { key, best } of COLUMNS) {
    const of = Object.values(peers).map((peer) => peer[key]);
    if (!signalbox || of.length === 0) continue;
    ratios[key] = best === Math.max ? best(...of) / signalbox[key] : signalbox[key] / best(...of);
  }
  return { medians, ratios };
}

function print(size, { medians, ratios }) {
  const rows = [['proxy', ...COLUMNS.map(({ head }) => head)]];
  for (const [name, values] of Object.entries(medians))
    rows.push([name, ...COLUMNS.map(({ key, text }) => text(values[key]))]);
  if (Object.keys(ratios).length > 0)
    rows.push(['ours : best peer', ...COLUMNS.map(({ key }) => `${ratios[key].toFixed(2)} x`)]);
  printTable(`Proxies, bodies of ${size.name}, ${CONNECTIONS} connections x ${STREAMS} streams, median of ${rounds} rounds ` +
    '(ratio < 1: ours is better)', rows);
}

const wanted = options.only?.split(',');
const chosen = proxies(path.resolve(options.signalbox)).filter(({ name }) => !wanted || wanted.includes(name));
const backendPort = await startBackend();
const started = [];
for (const proxy of chosen) started.push(await startProxy(proxy, backendPort));
started.push({ name: NO_PROXY, port: backendPort });

const result = { rounds, connections: CONNECTIONS, streams: STREAMS, stream_window_bytes: 1 << WINDOW_BITS, sizes: {} };
for (const size of SIZES) {
  const body = inferRequest(objectiveName(42), size.bytes);
  const bodyFile = path.join(folder, `body_${size.bytes}`);
  writeFileSync(bodyFile, body);
  const samples = Object.fromEntries(started.map(({ name }) => [name, []]));
  for (const proxy of started) await checkAnswerSoon(proxy, body);
  for (let round = 0; round < rounds; ++round) {
    // Interleaved, so that what else the machine does meets all of them alike.
    for (const proxy of started)
      samples[proxy.name].push(await measure(proxy, bodyFile, options.quick ? size.quick : size.requests));
  }
  const summary = summarise(samples);
  print(size, summary);
  result.sizes[size.name] = { ...summary, samples };
}
writeJson(options.json, result);
process.exit(0);
