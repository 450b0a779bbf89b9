// Documents that name a file which is not there mislead; this finds them.
//
// Looks at every *.md of the repository: relative links, and paths in `code` that begin with a folder of the repository; and
// at such paths in whatever is under api/, with or without `code`.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const notOurs = new Set(['build', 'node_modules', '.git', '.demo', 'data']);

function* documents(folder, isDocument = (name) => name.endsWith('.md')) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (notOurs.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* documents(path, isDocument);
    else if (isDocument(entry.name)) yield path;
  }
}

const folders = 'api|bench|client|cmake|docs|examples|fuzz|scripts|src|tests|web';

// What the comments of a schema or a header name and is not there.
function missingInSource(text) {
  return [...text.matchAll(new RegExp('(?<![\\w/])(?:' + folders + ')/[\\w./-]*\\.\\w+', 'g'))]
    .map(([path]) => path)
    .filter((path) => !existsSync(join(root, path)));
}

// What `text`, standing in `folder`, points to and is not there.
function missing(text, folder) {
  const found = [];
  const withoutBlocks = text.replace(/^```[\s\S]*?^```/gm, '');
  for (const [, target] of withoutBlocks.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target) || target.startsWith('#')) continue;
    if (!existsSync(join(folder, target.replace(/#.*/, '')))) found.push(target);
  }
  // Names with a wildcard or a placeholder are no paths.
  for (const [, path] of withoutBlocks.matchAll(new RegExp('`((?:' + folders + ')/[\\w./+-]*)(?::\\d+)?`', 'g'))) {
    if (!/\/[XY]\/|\/[xy]\.|NNNN/.test(path) && !existsSync(join(root, path))) found.push(path);
  }
  return found;
}

it('every file that a document names is there', () => {
  const wrong = [];
  for (const path of documents(root)) {
    for (const target of missing(readFileSync(path, 'utf8'), dirname(path))) {
      wrong.push(`${relative(root, path)} names ${target}`);
    }
  }
  for (const path of documents(join(root, 'api'), () => true)) {
    for (const target of missingInSource(readFileSync(path, 'utf8'))) {
      wrong.push(`${relative(root, path)} names ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

it('the index lists every document', () => {
  const index = readFileSync(join(root, 'docs/README.md'), 'utf8');
  const listed = (path) => index.includes(`](${relative(join(root, 'docs'), path)})`);
  const unlisted = [...documents(join(root, 'docs'))].filter((path) => !listed(path) && !path.endsWith('docs/README.md'));
  assert.deepEqual(unlisted, []);
});

it('a file that is not there is noticed', () => {
  assert.deepEqual(missing('[a](nowhere.md) and `src/decide/nowhere.cc:3`, not `src/X/y.cc`', root), [
    'nowhere.md',
    'src/decide/nowhere.cc',
  ]);
  assert.deepEqual(missingInSource('// SHA-256 (src/decide/nowhere.cc), see api/headers.h.'), ['src/decide/nowhere.cc']);
});
