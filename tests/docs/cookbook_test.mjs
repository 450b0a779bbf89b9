// Holds the cookbook to what it says of itself: every recipe is taken by `signalbox rules check`, and passes its test.
//
//   node cookbook_test.mjs SIGNALBOX
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const signalbox = process.argv[2];
const folder = mkdtempSync(join(tmpdir(), 'signalbox-cookbook-'));
after(() => rmSync(folder, { recursive: true }));

function run(...args) {
  const { status, stdout, stderr, error } = spawnSync(signalbox, args, { encoding: 'utf8' });
  return { status, text: error?.message ?? stdout + stderr };
}

const text = readFileSync(fileURLToPath(new URL('../../docs/rules-cookbook.md', import.meta.url)), 'utf8');
const recipes = text
  .split(/^## /m)
  .slice(1)
  .map((section) => ({
    title: section.slice(0, section.indexOf('\n')),
    rules: section.match(/^```js\n(.*?)^```$/ms)?.[1],
    test: section.match(/^```js test\n(.*?)^```$/ms)?.[1],
  }))
  .filter(({ rules }) => rules !== undefined);

it('finds the recipes', () => {
  assert.ok(recipes.length > 10, `${recipes.length} recipes`);
  for (const { title, test } of recipes) assert.ok(test !== undefined, `${title} has no test`);
});

recipes.forEach(({ title, rules, test }, index) => {
  const file = join(folder, `recipe-${index}.js`);
  it(`${title}: is taken`, () => {
    writeFileSync(file, rules);
    const { status, text: said } = run('rules', 'check', file);
    assert.equal(status, 0, said);
  });
  it(`${title}: passes its test`, () => {
    writeFileSync(file.replace(/\.js$/, '.test.js'), test);
    const { status, text: said } = run('rules', 'test', file);
    assert.equal(status, 0, said);
    assert.match(said, /\b1 passed\b/, said);
  });
});
