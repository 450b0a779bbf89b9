// Starts what a test needs - the real proxy, and gRPC servers that know nothing of signalbox - and stops it again.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const binary = process.env.SIGNALBOX ?? join(root, 'build/release/signalbox');

const definition = protoLoader.loadSync(['inference/open_inference.proto', 'signalbox/v1/serving.proto'], {
  includeDirs: [join(root, 'api')],
  keepCase: true,
  longs: Number,
  defaults: true,
});
const contracts = grpc.loadPackageDefinition(definition);
export const Inference = contracts.inference.GRPCInferenceService;
export const ModelServing = contracts.signalbox.v1.ModelServing;
export const decodeObjectiveConfig = definition['signalbox.v1.ObjectiveConfig'].deserialize;

// A service of an application, whose schema signalbox does not have: messages are bytes.
const asIs = (bytes) => bytes;
const method = (name, requestStream, responseStream) => ({
  path: `/app.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});
export const EchoService = {
  Unary: method('Unary', false, false),
  Collect: method('Collect', true, false),
  Repeat: method('Repeat', false, true),
  Chat: method('Chat', true, true),
  Never: method('Never', false, false),
};
export const EchoClient = grpc.makeGenericClientConstructor(EchoService, 'Echo');

export const anyMessageSize = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
};

// A gRPC server on a free port. `services` is a list of [service, handlers].
export async function startServer(services, address = '127.0.0.1:0') {
  const server = new grpc.Server(anyMessageSize);
  for (const [service, handlers] of services) server.addService(service, handlers);
  const port = await new Promise((resolve, reject) =>
    server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { address: `127.0.0.1:${port}`, stop: () => server.forceShutdown() };
}

// A role of signalbox that writes the port it listens on to a file. Resolves when it has done so.
async function startRole(folder, role, options) {
  const portFile = join(folder, `${role}.port`);
  const child = spawn(binary, [role, '--listen', '127.0.0.1:0', '--port-file', portFile, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  const ended = once(child, 'exit');
  let isRunning = true;
  ended.then(() => (isRunning = false));

  const giveUpAt = Date.now() + 20_000;
  while (!existsSync(portFile)) {
    if (!isRunning) throw new Error(`signalbox ${role} ended at its start:\n${output}`);
    if (Date.now() > giveUpAt) throw new Error(`signalbox ${role} did not listen within 20 s:\n${output}`);
    await wait(10);
  }
  return {
    address: `127.0.0.1:${readFileSync(portFile, 'utf8').trim()}`,
    terminate: () => child.kill('SIGTERM'),
    // null when a signal ended it.
    exitCode: async () => (await ended)[0],
    output: () => output,
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const newFolder = () => mkdtempSync(join(tmpdir(), 'signalbox_node_'));

// `signalbox proxy` with rules, either as JavaScript text or as the paths of files, a placement, and further options.
export async function startProxy({ rules, ruleFiles, placement, options = [] }) {
  const folder = newFolder();
  const placementFile = join(folder, 'placement.json');
  writeFileSync(placementFile, JSON.stringify(placement));
  if (rules) writeFileSync(join(folder, 'rules.js'), rules);
  return startRole(folder, 'proxy', [
    '--rules', ...(ruleFiles ?? [join(folder, 'rules.js')]), '--placement', placementFile, ...options,
  ]);
}

// `signalbox host` with freshly trained models.
export async function startModelHost() {
  const folder = newFolder();
  const models = join(folder, 'models');
  execFileSync(binary, ['train', '--data', join(root, 'node_modules/vega-datasets/data'), '--out', models]);
  return startRole(folder, 'host', ['--repository', models]);
}

// Runs a program to its end; what it wrote and how it ended.
export async function run(command, ...args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const result = { output: '', errors: '' };
  child.stdout.on('data', (text) => (result.output += text));
  child.stderr.on('data', (text) => (result.errors += text));
  [result.exitCode] = await once(child, 'close');
  return result;
}
