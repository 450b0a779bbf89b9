// Load that comes when it is due, and hosts that take their time without taking a core (bench/open_loop).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import readline from 'node:readline';

import { runOn } from './processes.mjs';

const BUILT = 'build/release/bench';
let files = 0;

function settingsFile(settings) {
  const file = path.join(tmpdir(), `signalbox_open_loop_${process.pid}_${++files}.json`);
  writeFileSync(file, JSON.stringify(settings));
  return file;
}

// Settings: the head of bench/open_loop/open_loop.cc; so is the result. `pin` is a core, or a list of them.
export async function runOpenLoop(pin, settings) {
  const file = settingsFile(settings);
  try {
    return JSON.parse(await runOn(pin, path.join(BUILT, 'open_loop'), [file]));
  } finally {
    rmSync(file);
  }
}

// Settings: the head of bench/open_loop/timed_hosts.cc. Gives the ports of the hosts in their order, `report()` with
// what they have done so far, and `stop()`.
export async function startTimedHosts(pin, settings) {
  const file = settingsFile(settings);
  const child = spawn('taskset', ['-c', String(pin), path.join(BUILT, 'timed_hosts'), file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const kill = () => child.kill('SIGKILL');
  process.on('exit', kill);
  child.on('exit', () => process.off('exit', kill));
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('timed_hosts ended');
    return JSON.parse(value);
  };
  const { ports } = await next();
  rmSync(file);
  return {
    ports,
    pid: child.pid,
    async report() {
      child.stdin.write('\n');
      return (await next()).hosts;
    },
    async stop() {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}
