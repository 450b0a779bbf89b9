// The proxy between a gRPC client and a gRPC server that are neither C++ nor written with signalbox in mind.
//
// Run by CTest; by hand: node tests/node/proxy_test.mjs (of build/release, or where SIGNALBOX says)
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import {
  anyMessageSize,
  decodeObjectiveConfig,
  EchoClient,
  EchoService,
  Inference,
  ModelServing,
  startProxy,
  startServer,
} from './processes.mjs';

const { status } = grpc;

const rules = `
  export default [
    {objective: Objectives.Echo, defaultModel: {name: 'echo', version: '1'}, modelInputType: 'ECHO_INPUT'},
    {objective: Objectives.Tested, defaultModel: {name: 'echo', version: '1'}},
    {objective: Objectives.Away, defaultModel: {name: 'away', version: '1'}},
    {abTestId: 77, targetObjectives: [Objectives.Tested],
     cellToModel: {1: {name: 'echo', version: '1'}, 2: {name: 'echo', version: '2'}}},
    {objective: Objectives.Ruled, defaultModel: {name: 'echo', version: '1'}, parameters: {depth: '50'}},
    {contextRuleId: 'new-kids', targetObjectives: [Objectives.Ruled],
     when: when.segments.has('kids').and(when.appVersion.atLeast('4.2')),
     model: {name: 'echo', version: '3'}, parameters: {depth: '80'}},
    {abTestId: 78, targetObjectives: [Objectives.Ruled], layer: 'rows', layerRange: [0, 100],
     cellParameters: {7: {rows: '7'}}},
    {layerId: 'rows'},
    {overrideId: 'testers', targetObjectives: [Objectives.Ruled], callers: {tenants: ['qa']}, models: [{name: 'echo', version: '2'}]},
    {objective: Objectives.Declared, defaultModel: {name: 'away', version: '1'},
     staticAnswer: {outputs: [{name: 'scores', datatype: 'FP32', shape: [2], data: [0.5, 0.25]}]}},
    {objective: Objectives.Mixed, defaultModel: {ensemble: 'mix'}},
    {ensembleId: 'mix', mode: 'first', members: [{name: 'away', version: '1'}, {name: 'echo', version: '2'}]},
    {objective: Objectives.Averaged, defaultModel: {ensemble: 'average'}},
    {ensembleId: 'average', mode: 'mean', members: [{name: 'echo', version: '1'}, {name: 'echo', version: '2'}]},
  ];`;

// What the server saw of the calls to it, newest last.
const seen = [];

// Answers with the request and shows its metadata to the test.
const echo = {
  Unary(call, answer) {
    seen.push(call);
    const wanted = call.metadata.get('x-answer-status')[0];
    const trailers = new grpc.Metadata();
    trailers.set('x-trailer', 'at the end');
    trailers.set('x-trailer-bin', Buffer.from([0, 255, 1]));
    const initial = new grpc.Metadata();
    initial.set('x-initial', 'at the start');
    call.sendMetadata(initial);
    if (wanted) {
      answer({ code: Number(wanted), details: 'refused: 100 % of “it”\nsecond line', metadata: trailers });
    } else {
      answer(null, call.request, trailers);
    }
  },
  Collect(call, answer) {
    const parts = [];
    call.on('data', (part) => parts.push(part));
    call.on('end', () => answer(null, Buffer.concat(parts)));
  },
  async Repeat(call) {
    const times = Number(call.metadata.get('x-times')[0]);
    for (let i = 0; i < times && !call.cancelled; ++i) {
      if (!call.write(Buffer.concat([Buffer.from([i % 256]), call.request]))) await once(call, 'drain');
    }
    call.end();
  },
  Chat(call) {
    call.on('data', (part) => call.write(part));
    call.on('end', () => call.end());
  },
  // Answers only when `call.answer` is called by the test.
  Never(call, answer) {
    call.answer = answer;
    seen.push(call);
    neverCalled.splice(0).forEach((resolve) => resolve(call));
  },
};
const neverCalled = [];
const nextNever = () => new Promise((resolve) => neverCalled.push(resolve));

const inference = {
  ModelInfer(call, answer) {
    seen.push(call);
    answer(null, { model_name: call.request.model_name, model_version: call.request.model_version, id: call.request.id });
  },
  ModelStreamInfer(call) {
    call.on('data', (request) =>
      call.write({ infer_response: { model_name: request.model_name, model_version: request.model_version, id: request.id } }),
    );
    call.on('end', () => call.end());
  },
};
const serving = {
  Serve(call, answer) {
    seen.push(call);
    answer(null, { output: call.request.input });
  },
};

let server;
let proxy;
let client;

const services = [
  [EchoService, echo],
  [Inference.service, inference],
  [ModelServing.service, serving],
];
const placementAt = (address) => ({
  shards: { s1: [address], s2: ['127.0.0.1:1'] },
  models: { echo: ['s1'], away: ['s2'] },
});

const credentials = () => grpc.credentials.createInsecure();
const connect = (Client, options = {}) => new Client(proxy.address, credentials(), { ...anyMessageSize, ...options });

function metadataOf(headers) {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}
const toEcho = (more = {}) => metadataOf({ 'sb-objective': 'Echo', 'sb-user': 'u1', ...more });

// One unary call; resolves to what came of it, success or not.
function call(target, name, message, metadata, options = {}) {
  return new Promise((resolve) => {
    const outcome = {};
    const handle = target[name](message, metadata, options, (error, response) => {
      Object.assign(outcome, { error, response });
    });
    outcome.handle = handle;
    handle.on('metadata', (initial) => (outcome.initial = initial));
    handle.on('status', (end) => {
      outcome.status = end;
      queueMicrotask(() => resolve(outcome));
    });
  });
}
const unary = (message, metadata, options) => call(client, 'Unary', Buffer.from(message), metadata, options);

before(async () => {
  server = await startServer(services);
  proxy = await startProxy({ rules, placement: placementAt(server.address) });
  client = connect(EchoClient);
});
after(async () => {
  client?.close();
  await proxy?.stop();
  server?.stop();
});

describe('a unary call', () => {
  it('reaches the model that the rules name and says so', async () => {
    const { response, initial } = await unary('hello', toEcho());
    assert.equal(response.toString(), 'hello');
    assert.deepEqual(initial.get('sb-model'), ['echo@1']);
    assert.deepEqual(initial.get('sb-reason'), ['default']);
    assert.match(initial.get('sb-decision')[0], /^[0-9a-f]{16}$/);
    assert.match(initial.get('sb-snapshot')[0], /^[0-9a-f]{16}$/);
    assert.equal(initial.get('sb-routing-key').length, 1);
  });

  it('gives the host an ObjectiveConfig, and nothing that the client made up', async () => {
    await unary('hello', toEcho({ 'sb-model': 'mine@9', 'sb-decision': 'mine', 'sb-unheard-of': 'mine' }));
    const metadata = seen.at(-1).metadata;
    assert.deepEqual(metadata.get('sb-model'), ['echo@1']);
    assert.deepEqual(metadata.get('sb-unheard-of'), []);
    assert.notDeepEqual(metadata.get('sb-decision'), ['mine']);
    const config = decodeObjectiveConfig(metadata.get('sb-objective-config-bin')[0]);
    assert.equal(config.objective, 'Echo');
    assert.equal(config.model_name, 'echo');
    assert.equal(config.model_version, '1');
    assert.equal(config.model_input_type, 'ECHO_INPUT');
  });

  it('keeps metadata and trailers in both directions', async () => {
    const binary = Buffer.from([0, 1, 2, 253, 254, 255]);
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const { initial, status: end } = await unary('x', toEcho({ 'x-text': 'text', 'x-bytes-bin': binary, traceparent }));
    const metadata = seen.at(-1).metadata;
    assert.deepEqual(metadata.get('x-text'), ['text']);
    assert.deepEqual(metadata.get('x-bytes-bin'), [binary]);
    assert.equal(metadata.get('traceparent').length, 1);
    assert.match(metadata.get('traceparent')[0], /^00-0af7651916cd43dd8448eb211c80319c-/);
    assert.deepEqual(initial.get('x-initial'), ['at the start']);
    assert.deepEqual(end.metadata.get('x-trailer'), ['at the end']);
    assert.deepEqual(end.metadata.get('x-trailer-bin'), [Buffer.from([0, 255, 1])]);
  });

  it('has the status of the server, whichever that is', async () => {
    for (let code = 1; code <= 16; ++code) {
      const { error } = await unary('x', toEcho({ 'x-answer-status': String(code) }));
      assert.equal(error.code, code);
      assert.equal(error.details, 'refused: 100 % of “it”\nsecond line');
      assert.deepEqual(error.metadata.get('x-trailer'), ['at the end']);
    }
  });

  it('may be empty, and may be large', async () => {
    for (const size of [0, 1, 16 << 10, 65_535, 65_536, 20 << 20]) {
      const message = Buffer.alloc(size, 'signalbox ');
      const { response, error } = await unary(message, toEcho());
      assert.equal(error, null);
      assert.ok(message.equals(response), `${size} bytes came back changed`);
    }
  });

  it('keeps its user in one cell', async () => {
    const models = new Map();
    for (let round = 0; round < 2; ++round) {
      const users = Array.from({ length: 200 }, (_, i) => `user-${i}`);
      await Promise.all(
        users.map(async (user) => {
          const { initial } = await unary('x', metadataOf({ 'sb-objective': 'Tested', 'sb-user': user }));
          const [model] = initial.get('sb-model');
          assert.deepEqual(initial.get('sb-reason'), ['experiment']);
          assert.equal(models.get(user) ?? model, model);
          models.set(user, model);
        }),
      );
    }
    assert.deepEqual([...new Set(models.values())].sort(), ['echo@1', 'echo@2']);
  });

  it('goes through compressed', async () => {
    const compressing = connect(EchoClient, { 'grpc.default_compression_algorithm': 2 });
    const message = Buffer.alloc(100_000, 'a');
    const { response } = await call(compressing, 'Unary', message, toEcho());
    assert.ok(message.equals(response));
    compressing.close();
  });
});

describe('rules', () => {
  const toRuled = (more = {}) => metadataOf({ 'sb-objective': 'Ruled', 'sb-user': 'u1', ...more });
  const configAtHost = () => decodeObjectiveConfig(seen.at(-1).metadata.get('sb-objective-config-bin')[0]);

  it('see the version and the segments of a context, and add parameters', async () => {
    const context = 'country=US, app-version="4.10.0", segments=("kids" "premium")';
    const { initial } = await unary('x', toRuled({ 'sb-context': context }));
    assert.deepEqual(initial.get('sb-model'), ['echo@3']);
    assert.deepEqual(initial.get('sb-reason'), ['context_rule']);
    assert.equal(configAtHost().parameters.depth, '80');
    assert.deepEqual(seen.at(-1).metadata.get('sb-context'), [context]);
    const old = await unary('x', toRuled({ 'sb-context': 'app-version="4.1.9", segments=("kids")' }));
    assert.deepEqual(old.initial.get('sb-model'), ['echo@1']);
    assert.equal(configAtHost().parameters.depth, '50');
  });

  it('show clients and hosts the cells of their experiments', async () => {
    const { initial } = await unary('x', toRuled());
    assert.deepEqual(initial.get('sb-experiments'), ['78=7']);
    assert.deepEqual(configAtHost().cells, { 78: '7' });
    assert.equal(configAtHost().parameters.rows, '7');
  });

  it('let those whom they name override, and nobody else', async () => {
    const override = { 'sb-override': 'model="echo@2"' };
    const tester = await unary('x', toRuled({ ...override, 'sb-tenant': 'qa' }));
    assert.deepEqual(tester.initial.get('sb-model'), ['echo@2']);
    assert.deepEqual(tester.initial.get('sb-reason'), ['override']);
    assert.deepEqual(seen.at(-1).metadata.get('sb-override'), []);
    const other = await unary('x', toRuled({ ...override, 'sb-tenant': 'web' }));
    assert.deepEqual(other.initial.get('sb-model'), ['echo@1']);
  });

  it('declare the answer for when no model can be reached', async () => {
    const target = connect(Inference);
    const { response, error, initial } = await call(target, 'ModelInfer', { model_name: 'Declared' }, metadataOf({}));
    assert.equal(error, null);
    assert.equal(response.outputs[0].name, 'scores');
    assert.deepEqual(response.outputs[0].shape.map(Number), [2]);
    assert.deepEqual(initial.get('sb-reason'), ['fallback']);
    assert.deepEqual(initial.get('sb-model'), []);
    target.close();
  });

  it('name an ensemble, of which the first answer counts', async () => {
    const { initial } = await unary('x', metadataOf({ 'sb-objective': 'Mixed' }));
    assert.deepEqual(initial.get('sb-model'), ['echo@2']);
  });

  it('name an ensemble whose answers cannot be combined', async () => {
    const { error } = await unary('x', metadataOf({ 'sb-objective': 'Averaged' }));
    assert.equal(error.code, status.UNIMPLEMENTED);
    assert.match(error.details, /ensemble average of Objective Averaged has the mode `mean`/);
  });
});

describe('a request that cannot be routed', () => {
  for (const [title, headers, code, words] of [
    ['names no Objective', { 'sb-user': 'u1' }, status.INVALID_ARGUMENT, /sb-objective/],
    ['names an Objective that does not exist', { 'sb-objective': 'Ecko' }, status.NOT_FOUND, /Ecko/],
    ['names a model', { 'sb-objective': 'echo@1' }, status.NOT_FOUND, /model/],
    ['has a context that is none', { 'sb-objective': 'Echo', 'sb-context': 'country==' }, status.INVALID_ARGUMENT, /sb-context/],
    ['wants to override what there is not', { 'sb-objective': 'Echo', 'sb-override': 'modle=x' }, status.INVALID_ARGUMENT, /sb-override, column 1/],
    ['wants a model whose host is away', { 'sb-objective': 'Away' }, status.UNAVAILABLE, /./],
  ]) {
    it(`is refused when it ${title}`, async () => {
      const { error } = await unary('x', metadataOf(headers));
      assert.equal(error?.code, code, error?.message);
      assert.match(error.details, words);
      const { response } = await unary('still there', toEcho());
      assert.equal(response.toString(), 'still there');
    });
  }
});

describe('a stream', () => {
  it('from the client arrives whole', async () => {
    const parts = Array.from({ length: 500 }, (_, i) => Buffer.alloc(i, i % 256));
    const response = await new Promise((resolve, reject) => {
      const stream = client.Collect(toEcho(), (error, answer) => (error ? reject(error) : resolve(answer)));
      for (const part of parts) stream.write(part);
      stream.end();
    });
    assert.ok(Buffer.concat(parts).equals(response));
  });

  it('from the server arrives whole, in order, at the pace of its reader', async () => {
    const payload = Buffer.alloc(64 << 10, 7);
    const stream = client.Repeat(payload, toEcho({ 'x-times': '500' }));
    let count = 0;
    for await (const part of stream) {
      assert.equal(part[0], count % 256);
      assert.equal(part.length, payload.length + 1);
      if (++count % 100 === 0) await new Promise(setImmediate);
    }
    assert.equal(count, 500);
  });

  it('in both directions answers message by message', async () => {
    const stream = client.Chat(toEcho());
    const answers = stream[Symbol.asyncIterator]();
    for (let i = 0; i < 300; ++i) {
      stream.write(Buffer.from(`message ${i}`));
      assert.equal((await answers.next()).value.toString(), `message ${i}`);
    }
    stream.end();
    assert.equal((await answers.next()).done, true);
  });

  it('is one of many on a connection', async () => {
    await Promise.all(
      Array.from({ length: 100 }, async (_, k) => {
        const stream = client.Chat(toEcho({ 'sb-user': `u${k}` }));
        const answers = stream[Symbol.asyncIterator]();
        for (let i = 0; i < 20; ++i) {
          const message = Buffer.alloc(1000 + k, i);
          stream.write(message);
          assert.ok(message.equals((await answers.next()).value));
        }
        stream.end();
      }),
    );
  });
});

describe('a call that does not come to its end', () => {
  it('ends at its deadline, on both sides', async () => {
    const arrived = nextNever();
    const outcome = call(client, 'Never', Buffer.from('x'), toEcho(), { deadline: Date.now() + 300 });
    const atServer = await arrived;
    const cancelled = once(atServer, 'cancelled');
    assert.notEqual(atServer.getDeadline(), Infinity);
    assert.equal((await outcome).error.code, status.DEADLINE_EXCEEDED);
    await cancelled;
  });

  it('is cancelled at the server when the client cancels it', async () => {
    const arrived = nextNever();
    const handle = client.Never(Buffer.from('x'), toEcho(), () => {});
    const atServer = await arrived;
    const cancelled = once(atServer, 'cancelled');
    handle.cancel();
    await cancelled;
    assert.equal((await unary('after', toEcho())).response.toString(), 'after');
  });

  it('is told that its server went away, and the next one finds the server that came back', async () => {
    const own = await startServer(services);
    const other = await startProxy({ rules, placement: placementAt(own.address) });
    const there = new EchoClient(other.address, credentials());
    const arrived = nextNever();
    const outcome = call(there, 'Never', Buffer.from('x'), toEcho());
    await arrived;
    own.stop();
    assert.equal((await outcome).error.code, status.UNAVAILABLE);

    const back = await startServer(services, own.address);
    const deadline = Date.now() + 20_000;
    let answer;
    do {
      answer = await call(there, 'Unary', Buffer.from('again'), toEcho());
    } while (answer.error && Date.now() < deadline);
    assert.equal(answer.response?.toString(), 'again', answer.error?.message);
    there.close();
    await other.stop();
    back.stop();
  });

  it('is finished by a proxy that is asked to stop', async () => {
    const other = await startProxy({ rules, placement: placementAt(server.address) });
    const there = new EchoClient(other.address, credentials());
    const arrived = nextNever();
    const outcome = call(there, 'Never', Buffer.from('x'), toEcho());
    const atServer = await arrived;
    other.terminate();
    // From some moment on nobody new is let in, while the call from before goes on.
    let refused;
    do {
      const late = new EchoClient(other.address, credentials(), { 'grpc.use_local_subchannel_pool': 1 });
      refused = await call(late, 'Unary', Buffer.from('x'), toEcho());
      late.close();
    } while (!refused.error);
    assert.equal(refused.error.code, status.UNAVAILABLE);
    atServer.answer(null, Buffer.from('done'));
    assert.equal((await outcome).response?.toString(), 'done');
    there.close();
    assert.equal(await other.exitCode(), 0, other.output());
    await other.stop();
  });
});

describe('an Open Inference request', () => {
  const request = (more = {}) => ({
    model_name: 'Echo',
    id: 'r1',
    inputs: [{ name: 'title', datatype: 'BYTES', shape: [1, 1], contents: { bytes_contents: [Buffer.from('Alien')] } }],
    ...more,
  });

  it('names the Objective as its model and is answered by the model that was chosen', async () => {
    const target = connect(Inference);
    const { response, error } = await call(target, 'ModelInfer', request(), metadataOf({ 'sb-user': 'u1' }));
    assert.equal(error, null);
    assert.equal(response.model_name, 'echo');
    assert.equal(response.model_version, '1');
    assert.equal(response.id, 'r1');
    const atHost = seen.at(-1).request;
    assert.equal(atHost.parameters.sb_objective.string_param, 'Echo');
    assert.equal(atHost.parameters.sb_model_input_type.string_param, 'ECHO_INPUT');
    assert.equal(atHost.inputs[0].contents.bytes_contents[0].toString(), 'Alien');
    target.close();
  });

  it('is enriched in every message of a stream', async () => {
    const target = connect(Inference);
    const stream = target.ModelStreamInfer(metadataOf({ 'sb-objective': 'Echo', 'sb-user': 'u1' }));
    const answers = stream[Symbol.asyncIterator]();
    for (let i = 0; i < 50; ++i) {
      stream.write(request({ id: `r${i}` }));
      const { value } = await answers.next();
      assert.equal(value.infer_response.model_name, 'echo');
      assert.equal(value.infer_response.id, `r${i}`);
    }
    stream.end();
    assert.equal((await answers.next()).done, true);
    target.close();
  });

  it('of any size is enriched', async () => {
    const target = connect(Inference);
    const { response, error } = await call(
      target, 'ModelInfer', request({ raw_input_contents: [Buffer.alloc(16 << 20, 1)] }), metadataOf({ 'sb-user': 'u1' }));
    assert.equal(error, null);
    assert.equal(response.model_name, 'echo');
    assert.equal(seen.at(-1).request.raw_input_contents[0].length, 16 << 20);
    target.close();
  });

  it('that is compressed is routed by its header and not written into', async () => {
    const target = connect(Inference, { 'grpc.default_compression_algorithm': 2 });
    const { error } = await call(
      target, 'ModelInfer', request({ model_name: 'Echo'.repeat(1000) }), metadataOf({ 'sb-objective': 'Echo' }));
    assert.equal(error, null);
    assert.equal(seen.at(-1).request.model_name, 'Echo'.repeat(1000));
    const config = decodeObjectiveConfig(seen.at(-1).metadata.get('sb-objective-config-bin')[0]);
    assert.equal(config.model_name, 'echo');
    target.close();
  });
});

describe('ModelServing/Serve', () => {
  it('takes the Objective from the message and hands over the configuration in it', async () => {
    const target = connect(ModelServing);
    const { response, error } = await call(
      target, 'Serve',
      { objective: 'Echo', input: Buffer.from('domain input'), objective_config: { model_name: 'mine' } },
      metadataOf({ 'sb-user': 'u1' }));
    assert.equal(error, null);
    assert.equal(response.output.toString(), 'domain input');
    const config = seen.at(-1).request.objective_config;
    assert.equal(config.model_name, 'echo');
    assert.equal(config.objective, 'Echo');
    target.close();
  });
});
