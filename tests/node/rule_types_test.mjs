// Holds api/rules.d.ts to what it is for: the examples pass, and an editor finds what is wrong.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const compiler = join(root, 'node_modules/typescript/bin/tsc');
assert.ok(existsSync(compiler), `${compiler} is missing: run \`npm ci\` in ${root}`);

const check = (folder) => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [compiler, '--noEmit', '--pretty', 'false', '-p', join(root, folder, 'jsconfig.json')],
    { cwd: root, encoding: 'utf8' },
  );
  return { status, output: stdout + stderr };
};

it('the examples have the types that the rules demand', () => {
  const { status, output } = check('examples/rules');
  assert.equal(output, '');
  assert.equal(status, 0);
});

it('what is wrong is found on its line, and nothing else is', () => {
  const files = ['tests/node/rule_types/wrong.js', 'tests/node/rule_types/wrong.test.js'];
  const expected = files.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, i) => {
        const numbers = line.match(/\/\/ wrong: ([\d ]+)$/)?.[1] ?? '';
        return numbers.split(' ').filter(Boolean).map((number) => `${file}:${i + 1}: TS${number}`);
      }),
  );
  assert.ok(expected.length > 10);
  const { output } = check('tests/node/rule_types');
  const found = [...output.matchAll(/^(\S+)\((\d+),\d+\): error (TS\d+):/gm)].map(
    ([, path, line, number]) => `${path}:${line}: ${number}`,
  );
  assert.deepEqual(found.sort(), expected.sort(), output);
});
