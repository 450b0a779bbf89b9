// Starts what a test needs - the real proxy, and gRPC servers that know nothing of signalbox - and stops it again.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const root = fileURLToPath(new URL('../..', import.meta.url));
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

// `signalbox proxy` on free ports, from rules (JavaScript text) and a placement. Resolves when it listens.
export async function startProxy({ rules, placement, options = [] }) {
  const folder = mkdtempSync(join(tmpdir(), 'signalbox_node_'));
  const file = (name) => join(folder, name);
  writeFileSync(file('rules.js'), rules);
  writeFileSync(file('placement.json'), JSON.stringify(placement));
  const child = spawn(
    binary,
    ['proxy', '--listen', '127.0.0.1:0', '--port-file', file('port'), '--rules', file('rules.js'), '--placement',
      file('placement.json'), ...options],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  const ended = once(child, 'exit');
  let isRunning = true;
  ended.then(() => (isRunning = false));

  const giveUpAt = Date.now() + 20_000;
  while (!existsSync(file('port'))) {
    if (!isRunning) throw new Error(`the proxy ended at its start:\n${output}`);
    if (Date.now() > giveUpAt) throw new Error(`the proxy did not listen within 20 s:\n${output}`);
    await wait(10);
  }
  return {
    address: `127.0.0.1:${readFileSync(file('port'), 'utf8').trim()}`,
    terminate: () => child.kill('SIGTERM'),
    // Its exit code; null when a signal ended it.
    exitCode: async () => (await ended)[0],
    output: () => output,
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
