// Processes under measurement: pinned to a core, started on free ports, stopped with the benchmark, their CPU time read
// from the kernel.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';

const running = new Set();

// Whatever ends the benchmark ends them: a leftover proxy would spoil the next measurement.
function stopAll() {
  for (const child of running) child.kill('SIGKILL');
}
process.on('exit', stopAll);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

// The first `count` cores that this process may use, which in a container need not be 0 and 1.
export function cores(count) {
  const [, list] = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'));
  const allowed = list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  if (allowed.length < count) throw new Error(`this benchmark needs ${count} cores, and has ${allowed.length}`);
  return allowed.slice(0, count);
}

// Starts `command` on `core` alone. `taskset` replaces itself by the command, so the child's pid is the command's.
export function startOn(core, command, args, { cwd } = {}) {
  const child = spawn('taskset', ['-c', String(core), command, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const process = { pid: child.pid, output: '', exitCode: null, kill: (signal) => child.kill(signal) };
  const keep = (chunk) => (process.output = (process.output + chunk).slice(-8192));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.on('error', (error) => keep(String(error)));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? signal;
    running.delete(process);
  });
  running.add(process);
  return process;
}

// Runs a command to its end and gives its standard output.
export async function runOn(core, command, args) {
  const child = spawn('taskset', ['-c', String(core), command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${code ?? signal}\n${stdout}${stderr}`);
  return stdout;
}

export async function waitForPort(port, process, name) {
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline) {
    if (process.exitCode !== null) throw new Error(`${name} ended with ${process.exitCode}:\n${process.output}`);
    const socket = net.connect(port, '127.0.0.1');
    const connected = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${name} does not listen on port ${port} after 10 s:\n${process.output}`);
}

// CPU time of a process with all its threads, in microseconds, with the scheduler's own nanosecond clock: the tick
// counts of /proc/PID/stat are too coarse for runs of a second.
export function cpuMicroseconds(pid) {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`))
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return nanoseconds / 1000;
}
