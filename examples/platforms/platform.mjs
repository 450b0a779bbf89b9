// A small experimentation platform: flags in flagd's format, over OFREP and over signalbox.v1.Allocator.
//
//   node examples/platforms/platform.mjs FLAGS.json [--port-file FILE] [--grpc-port-file FILE] [--token TOKEN]
//
// It listens on free ports of 127.0.0.1 and prints them. The proxy that is to ask it:
//
//   signalbox proxy ... --platform NAME=ofrep:http://127.0.0.1:PORT
//   signalbox proxy ... --platform NAME=grpc:127.0.0.1:GRPC_PORT
//
// A flag's variants are the experiment's cells.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { FlagdCore } from '@openfeature/flagd-core';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'port-file': { type: 'string' }, 'grpc-port-file': { type: 'string' }, token: { type: 'string' } },
});
if (positionals.length !== 1) {
  console.error('usage: node platform.mjs FLAGS.json [--port-file FILE] [--grpc-port-file FILE] [--token TOKEN]');
  process.exit(2);
}
const core = new FlagdCore();
core.setConfigurations(readFileSync(positionals[0], 'utf8'));

function evaluate(key, context) {
  const flag = core.getFlag(key);
  if (!flag) return { key, errorCode: 'FLAG_NOT_FOUND', errorDetails: `there is no flag ${key}` };
  if (flag.state === 'DISABLED') return { key, reason: 'DISABLED' }; // no value: the caller's default
  const { value, variant, reason, flagMetadata, errorCode, errorMessage } = flag.evaluate(context);
  if (errorCode) return { key, errorCode, errorDetails: errorMessage };
  return { key, value, variant, reason, metadata: flagMetadata };
}

const isAllowed = (authorization) => !options.token || authorization === `Bearer ${options.token}`;

// OFREP: POST /ofrep/v1/evaluate/flags/KEY with {"context": {"targetingKey": ..., ...}}.
async function answerOfrep(request, response) {
  const send = (status, content) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(content && JSON.stringify(content));
  };
  if (!isAllowed(request.headers.authorization)) return send(401);
  const [, key] = request.url.match(/^\/ofrep\/v1\/evaluate\/flags\/([^/]+)$/) ?? [];
  if (request.method !== 'POST' || !key) return send(404);
  let body = '';
  for await (const part of request) body += part;
  let context;
  try {
    ({ context } = JSON.parse(body));
  } catch {
    return send(400, { key, errorCode: 'PARSE_ERROR' });
  }
  if (!context?.targetingKey) return send(400, { key, errorCode: 'TARGETING_KEY_MISSING' });
  const answer = evaluate(decodeURIComponent(key), context);
  send(answer.errorCode === 'FLAG_NOT_FOUND' ? 404 : answer.errorCode ? 400 : 200, answer);
}

// signalbox.v1.Allocator, for platforms that would rather speak gRPC.
function allocate(call, answer) {
  if (!isAllowed(call.metadata.get('authorization')[0])) return answer({ code: grpc.status.UNAUTHENTICATED });
  const { flag, unit, context, segments } = call.request;
  const { variant, errorCode } = evaluate(flag, { ...context, segments, targetingKey: unit });
  if (errorCode) {
    return answer({ code: errorCode === 'FLAG_NOT_FOUND' ? grpc.status.NOT_FOUND : grpc.status.INVALID_ARGUMENT });
  }
  answer(null, { cell: variant ?? '' });
}

const api = fileURLToPath(new URL('../../api', import.meta.url));
const contract = protoLoader.loadSync('signalbox/v1/allocator.proto', { includeDirs: [api], keepCase: true });
const grpcServer = new grpc.Server();
grpcServer.addService(grpc.loadPackageDefinition(contract).signalbox.v1.Allocator.service, { Allocate: allocate });

const announce = (name, port, file) => {
  console.log(`${name} on 127.0.0.1:${port}`);
  if (!file) return;
  writeFileSync(`${file}.new`, `${port}\n`);
  renameSync(`${file}.new`, file);
};
const httpServer = createServer(answerOfrep);
httpServer.listen(0, '127.0.0.1', () => announce('OFREP', httpServer.address().port, options['port-file']));
grpcServer.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  announce('gRPC', port, options['grpc-port-file']);
});
