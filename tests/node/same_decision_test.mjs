// One snapshot, one decision: what the proxy does with a request is what `signalbox resolve` says of it beforehand, in
// bulk and explained, down to the bytes that the host gets.
//
// Run by CTest; by hand: node tests/node/same_decision_test.mjs (of build/release, or where SIGNALBOX says)
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { Inference, root, run, startProxy, startServer } from './processes.mjs';

const binary = process.env.SIGNALBOX ?? join(root, 'build/release/signalbox');
const USERS = 400;

const rules = `
  const cells = (name) => ({1: {name, version: 1}, 2: {name, version: 2}, 3: {name, version: 3}});
  export default [
    {objective: Objectives.Plain, defaultModel: {name: 'plain'}},
    {objective: Objectives.Tested, defaultModel: {name: 'tested', version: 1}, parameters: {depth: '50'}},
    {abTestId: 41, targetObjectives: Objectives.Tested, cellToModel: cells('tested'), allocationPercentage: 30},
    {abTestId: 42, targetObjectives: [Objectives.Tested, Objectives.Shared], cellToModel: cells('shared'),
     cellWeights: {1: 0.2, 2: 0.3, 3: 0.5}, cellParameters: {2: {depth: '80'}}, allocationPercentage: 60},
    {objective: Objectives.Shared, defaultModel: {name: 'shared', version: 1},
     fallbackModels: [{name: 'plain'}]},
    {trafficShiftId: 'canary', targetObjectives: Objectives.Shared, toModel: {name: 'shared', version: 9}, percentage: 25},
  ];`;
const objectives = ['Plain', 'Tested', 'Shared'];

let folder;
let host;
let proxy;
let client;
let contexts;
// By the request's id.
const received = new Map();

const inference = {
  ModelInfer(call, answer) {
    received.set(call.request.id, call);
    answer(null, { model_name: call.request.model_name, id: call.request.id });
  },
};

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'signalbox_same_'));
  host = await startServer([[Inference.service, inference]]);
  const models = Object.fromEntries(['plain', 'tested', 'shared'].map((name) => [name, ['s1']]));
  const placement = { shards: { s1: [host.address] }, models };
  writeFileSync(join(folder, 'rules.js'), rules);
  writeFileSync(join(folder, 'placement.json'), JSON.stringify(placement));
  proxy = await startProxy({ ruleFiles: [join(folder, 'rules.js')], placement });
  client = new Inference(proxy.address, grpc.credentials.createInsecure());
  contexts = [];
  for (let i = 0; i < USERS; ++i) {
    // Every seventh request has no user.
    contexts.push({ objective: objectives[i % 3], ...(i % 7 === 0 ? {} : { user: `member-${i * 7919}` }) });
  }
});
after(async () => {
  client?.close();
  await proxy?.stop();
  host?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const resolve = (...args) =>
  run(binary, 'resolve', '--rules', join(folder, 'rules.js'), '--placement', join(folder, 'placement.json'), ...args);

// The answer's initial metadata.
function infer(context, id) {
  const metadata = new grpc.Metadata();
  if (context.user) metadata.set('sb-user', context.user);
  return new Promise((done, failed) => {
    let initial;
    const call = client.ModelInfer({ model_name: context.objective, id }, metadata, (error) =>
      error ? failed(error) : done(initial),
    );
    call.on('metadata', (headers) => (initial = headers));
  });
}

describe('the decision of the proxy', () => {
  it('is the one that a batch gives for the same contexts', async () => {
    const file = join(folder, 'contexts.jsonl');
    writeFileSync(file, contexts.map((context) => `${JSON.stringify(context)}\n`).join(''));
    const batch = await resolve('--batch', file);
    assert.equal(batch.exitCode, 0, batch.errors);
    const decisions = batch.output.trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.equal(decisions.length, contexts.length);

    const reasons = new Set();
    for (const [i, context] of contexts.entries()) {
      const initial = await infer(context, `r${i}`);
      const said = decisions[i];
      const where = JSON.stringify(context);
      assert.deepEqual(initial.get('sb-model'), [said.model], where);
      assert.deepEqual(initial.get('sb-reason'), [said.reason], where);
      assert.deepEqual(initial.get('sb-routing-key'), [said.routing_key], where);

      const { request, metadata } = received.get(`r${i}`);
      const version = request.model_version ? `@${request.model_version}` : '';
      assert.equal(`${request.model_name}${version}`, said.model, where);
      assert.equal(request.parameters.sb_objective.string_param, context.objective, where);
      assert.equal(request.parameters.sb_experiment.string_param, said.experiment ?? '', where);
      assert.equal(request.parameters.sb_cell.string_param, said.cell ?? '', where);
      assert.deepEqual(metadata.get('sb-model'), [said.model], where);
      reasons.add(said.reason);
    }
    assert.deepEqual([...reasons].sort(), ['default', 'experiment', 'traffic_shift']);
  });

  it('comes from the snapshot that the explanation names, with the parameters that it names', async () => {
    for (const [i, context] of contexts.slice(0, 12).entries()) {
      const user = context.user ? ['--user', context.user] : [];
      const explained = await resolve('--json', '--objective', context.objective, ...user);
      assert.equal(explained.exitCode, 0, explained.errors);
      const { decision, snapshot, objective_config: config, placement } = JSON.parse(explained.output);
      const initial = await infer(context, `e${i}`);
      assert.deepEqual(initial.get('sb-model'), [decision.model]);
      assert.deepEqual(initial.get('sb-snapshot'), [snapshot.hash.slice(0, 16)]);
      assert.equal(placement[0].hosts[0], host.address);
      const { parameters } = received.get(`e${i}`).request;
      assert.equal(parameters.depth?.string_param, config.parameters?.depth);
    }
  });
});
