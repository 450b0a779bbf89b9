// Experiments that an experimentation platform allocates: the real proxy, the example's platform over OFREP and over
// gRPC, and users who notice nothing when it dies.
//
// Run by CTest; by hand: node tests/node/remote_allocation_test.mjs (of build/release, or where SIGNALBOX says)
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';
import { FlagdCore } from '@openfeature/flagd-core';
import { EchoClient, EchoService, root, startProxy, startServer } from './processes.mjs';

const experiment = (id, objective, platform) => `
    {objective: Objectives.${objective}, defaultModel: {name: 'echo', version: '0'}},
    {abTestId: ${id}, targetObjectives: [Objectives.${objective}],
     cellToModel: {control: {name: 'echo', version: '1'}, treatment: {name: 'echo', version: '2'}},
     remoteAllocation: {platform: '${platform}', flag: 'ranker-test', ttlSeconds: 300, deadlineMs: 2000, fallback: 'none'}},`;
const rules = `
  export default [
    ${experiment(1, 'OverHttp', 'over-http')}
    ${experiment(2, 'OverGrpc', 'over-grpc')}
    ${experiment(3, 'Hanging', 'hanging').replace('2000', '100')}
    ${experiment(4, 'Nobody', 'not-declared')}
    {objective: Objectives.Plain, defaultModel: {name: 'echo', version: '0'}},
  ];`;

const flagsFile = join(root, 'examples/platforms/flags.json');
const core = new FlagdCore();
core.setConfigurations(readFileSync(flagsFile, 'utf8'));
const modelOf = { control: 'echo@1', treatment: 'echo@2' };
const expected = (user, country) => modelOf[core.getFlag('ranker-test').evaluate({ targetingKey: user, country }).variant];

async function startPlatform(folder) {
  const files = { http: join(folder, 'http.port'), grpc: join(folder, 'grpc.port') };
  const child = spawn(
    process.execPath,
    [join(root, 'examples/platforms/platform.mjs'), flagsFile, '--port-file', files.http, '--grpc-port-file', files.grpc,
     '--token', 'secret-1'],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const giveUpAt = Date.now() + 20_000;
  while (!existsSync(files.http) || !existsSync(files.grpc)) {
    if (Date.now() > giveUpAt) throw new Error('the platform did not listen within 20 s');
    await wait(10);
  }
  const ended = once(child, 'exit');
  return {
    http: readFileSync(files.http, 'utf8').trim(),
    grpc: readFileSync(files.grpc, 'utf8').trim(),
    kill: () => (child.kill('SIGKILL'), ended),
  };
}

let folder;
let platform;
let host;
let proxy;
let client;
// Takes questions and never answers.
const hanging = createServer(() => {});

const ask = (objective, user, country = 'US') =>
  new Promise((resolve, reject) => {
    const metadata = new grpc.Metadata();
    metadata.set('sb-objective', objective);
    metadata.set('sb-user', user);
    metadata.set('sb-context', `country=${country}`);
    let model;
    const call = client.Unary(Buffer.from('hello'), metadata, (error) => (error ? reject(error) : resolve(model)));
    call.on('metadata', (headers) => ([model] = headers.get('sb-model')));
  });

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'signalbox_platform_'));
  platform = await startPlatform(folder);
  hanging.listen(0, '127.0.0.1');
  await once(hanging, 'listening');
  host = await startServer([[EchoService, { Unary: (call, answer) => answer(null, call.request) }]]);
  const token = join(folder, 'token');
  writeFileSync(token, 'secret-1\n');
  proxy = await startProxy({
    rules,
    placement: { shards: { s1: [host.address] }, models: { echo: ['s1'] } },
    options: [
      '--platform', `over-http=ofrep:http://127.0.0.1:${platform.http}`,
      '--platform', `over-grpc=grpc:127.0.0.1:${platform.grpc}`,
      '--platform', `hanging=ofrep:http://127.0.0.1:${hanging.address().port}`,
      '--platform-token', `over-http=${token}`,
      '--platform-token', `over-grpc=${token}`,
      '--workers', '1',
    ],
  });
  client = new EchoClient(proxy.address, grpc.credentials.createInsecure());
});
after(async () => {
  client?.close();
  await proxy?.stop();
  host?.stop();
  await platform?.kill();
  hanging.closeAllConnections();
  hanging.close();
  rmSync(folder, { recursive: true, force: true });
});

for (const objective of ['OverHttp', 'OverGrpc']) {
  it(`users get the platform's cells: ${objective}`, async () => {
    const seen = new Set();
    for (let i = 0; i < 50; ++i) {
      const model = await ask(objective, `user-${i}`);
      assert.equal(model, expected(`user-${i}`, 'US'), `user-${i}`);
      seen.add(model);
    }
    assert.deepEqual([...seen].sort(), ['echo@1', 'echo@2']);
  });

  it(`the platform may look at the context: ${objective}`, async () => {
    for (let i = 0; i < 10; ++i) assert.equal(await ask(objective, `user-${i}`, 'DE'), 'echo@1');
  });
}

it('others are answered while a platform hangs, before the one that asks it', async () => {
  const order = [];
  const waiting = ask('Hanging', 'user-1').then((model) => order.push(`hanging ${model}`));
  await Promise.all([1, 2, 3].map(() => ask('Plain', 'user-1').then(() => order.push('plain'))));
  await waiting;
  assert.deepEqual(order, ['plain', 'plain', 'plain', 'hanging echo@0']);
});

it('a platform that the proxy does not know is named in its log, and the fallback counts', async () => {
  assert.equal(await ask('Nobody', 'user-1'), 'echo@0');
  assert.match(proxy.output(), /experiment 4 of namespace default asks the platform "not-declared"/);
});

it('when the platform dies, users keep their cells, new ones get the fallback, and no request fails', async () => {
  const [user] = ['user-1', 'user-2', 'user-3', 'user-4'].filter((name) => expected(name, 'US') === 'echo@2');
  await platform.kill();
  for (const objective of ['OverHttp', 'OverGrpc']) {
    for (let i = 0; i < 20; ++i) {
      assert.equal(await ask(objective, user), 'echo@2');
      assert.equal(await ask(objective, `new-${i}`), 'echo@0');
    }
  }
});
