// The proxies that are compared, each with one worker and with as little work as it can be told to do: no access log, no
// TLS, connections kept. Windows are the same for all where they can be set (256 KiB a stream): with the 64 KiB that
// most have by default, a body of 64 KiB waits for a window update in the middle, and the comparison would be one of
// defaults. What else a peer has to make it faster was tried and is set where it helped (HAProxy's buffer).
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { placementFile, ruleFile } from './rules.mjs';

export const WINDOW_BITS = 18;
const WINDOW_BYTES = 1 << WINDOW_BITS;
export const CONNECTION_WINDOW_BITS = 22;
const CONNECTION_WINDOW_BYTES = 1 << CONNECTION_WINDOW_BITS;

function write(folder, name, text) {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}

// Each: {name, command(port, backendPort, folder) -> [executable, arguments]}.
export function proxies(signalbox) {
  return [
    {
      name: 'signalbox',
      command: (port, backend, folder) => [
        signalbox,
        [
          'proxy', '--listen', `127.0.0.1:${port}`, '--workers', '1',
          '--rules', write(folder, 'rules.js', ruleFile()),
          '--placement', write(folder, 'placement.json', placementFile(`127.0.0.1:${backend}`)),
        ],
      ],
    },
    {
      name: 'nghttpx',
      command: (port, backend, folder) => [
        'nghttpx',
        [
          `--conf=${write(folder, 'nghttpx.conf', '')}`, '--single-process', '--workers=1', '--no-ocsp', '--log-level=ERROR',
          `--frontend=127.0.0.1,${port};no-tls`, `--backend=127.0.0.1,${backend};;proto=h2`,
          `--frontend-http2-window-size=${WINDOW_BYTES}`, `--backend-http2-window-size=${WINDOW_BYTES}`,
          `--frontend-http2-connection-window-size=${CONNECTION_WINDOW_BYTES}`,
          `--backend-http2-connection-window-size=${CONNECTION_WINDOW_BYTES}`,
          '--accesslog-file=',
        ],
      ],
    },
    {
      name: 'haproxy',
      command: (port, backend, folder) => [
        'haproxy',
        [
          '-db', '-f',
          write(folder, 'haproxy.cfg', `
global
  nbthread 1
  tune.bufsize 65536
  tune.h2.initial-window-size ${WINDOW_BYTES}
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend clients
  bind 127.0.0.1:${port} proto h2
  default_backend hosts
backend hosts
  server host 127.0.0.1:${backend} proto h2
`),
        ],
      ],
    },
    {
      name: 'nginx',
      command: (port, backend, folder) => {
        const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
          .map((kind) => `  ${kind}_temp_path ${path.join(folder, `nginx_${kind}`)};`)
          .join('\n');
        mkdirSync(path.join(folder, 'logs'), { recursive: true });
        return [
          'nginx',
          [
            '-p', folder, '-c',
            write(folder, 'nginx.conf', `
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log logs/error.log;
events { worker_connections 1024; }
http {
${temporary}
  access_log off;
  keepalive_requests 1000000000;
  keepalive_time 10h;
  client_max_body_size 0;
  http2_body_preread_size ${WINDOW_BYTES};
  upstream hosts { server 127.0.0.1:${backend}; keepalive 64; keepalive_requests 1000000000; keepalive_time 10h; }
  server {
    listen 127.0.0.1:${port} http2;
    location / { grpc_pass grpc://hosts; }
  }
}
`),
          ],
        ];
      },
    },
  ];
}
