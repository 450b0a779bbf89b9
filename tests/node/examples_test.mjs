// The clients that the documents show, against a model host with trained models behind the proxy.
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after, before, it } from 'node:test';
import { root, run, startModelHost, startProxy } from './processes.mjs';

const clients = join(root, 'examples/clients');
const builtClients = join(dirname(process.env.SIGNALBOX ?? join(root, 'build/release/signalbox')), 'examples/clients');
const node = (name, ...args) => run(process.execPath, join(clients, name), ...args);
const titles = ['Howard the Duck', 'The Godfather', 'Alien'];

let host;
let proxy;

before(async () => {
  host = await startModelHost();
  proxy = await startProxy({
    ruleFiles: ['titles.js', 'home-page.js', 'delays.js'].map((name) => join(root, 'examples/rules/demo', name)),
    placement: { shards: { s1: [host.address] }, models: { 'title-ranker': ['s1'], 'arrival-delay': ['s1'] } },
  });
});
after(async () => {
  await proxy?.stop();
  await host?.stop();
});

for (const [language, rankTitles] of [
  ['Node', (...args) => node('rank_titles.mjs', ...args)],
  ['C++', (...args) => run(join(builtClients, 'rank_titles'), ...args)],
]) {
  it(`the example in ${language} ranks titles and says who did it`, async () => {
    const { output, errors, exitCode } = await rankTitles(proxy.address, 'user-1', ...titles);
    assert.equal(exitCode, 0, errors);
    const [decision, ...ranked] = output.trimEnd().split('\n');
    assert.match(
      decision,
      /^answered by title-ranker@[123] \((default|experiment)\), decision [0-9a-f]{16}, snapshot [0-9a-f]{16}$/,
    );
    assert.deepEqual(ranked.map((line) => line.slice(5).replace(/^-?\d+\.\d\d  /, '')).sort(), [...titles].sort());
  });

  it(`the example in ${language} says what is wrong`, async () => {
    const { errors, exitCode } = await rankTitles('127.0.0.1:1', 'user-1', 'Alien');
    assert.equal(exitCode, 1);
    assert.match(errors, /^status (14|4): /);
  });
}

it('a user has one model in every language', async () => {
  for (const user of ['user-1', 'user-2', 'user-3', 'user-4', 'user-5']) {
    const answeredBy = async (client) => (await client).output.match(/answered by (\S+)/)[1];
    assert.equal(
      await answeredBy(node('rank_titles.mjs', proxy.address, user, 'Alien')),
      await answeredBy(run(join(builtClients, 'rank_titles'), proxy.address, user, 'Alien')),
    );
  }
});

it('any other method goes to the same model by its headers', async () => {
  const { output, errors, exitCode } = await node('any_method.mjs', proxy.address, 'user-1');
  assert.equal(exitCode, 0, errors);
  assert.match(output, /^user-1 is with title-ranker@[123]\nits host is SERVING\n$/);
});
