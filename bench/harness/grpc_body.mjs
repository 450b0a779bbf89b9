// gRPC bodies of Open Inference messages, encoded by hand: what is measured must not depend on a client library.

function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  bytes.push(value);
  return Buffer.from(bytes);
}

// A length-delimited field: text, bytes or a message.
function field(number, content) {
  const bytes = Buffer.from(content);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

// The gRPC frame: flags, length, message.
function frame(message) {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

// An inference.ModelInferRequest of exactly `messageBytes` bytes as clients write it: the name first (field 1), an input
// tensor's description (5), its raw content (7).
export function inferRequest(objective, messageBytes) {
  const input = Buffer.concat([field(1, 'titles'), field(2, 'BYTES'), field(3, varint(1))]);
  const head = Buffer.concat([field(1, objective), field(3, 'bench'), field(5, input)]);
  let content = messageBytes - head.length - 2;
  while (head.length + field(7, Buffer.alloc(content)).length > messageBytes) --content;
  const message = Buffer.concat([head, field(7, Buffer.alloc(content, 0x2a))]);
  if (message.length !== messageBytes) throw new Error(`a message of ${messageBytes} bytes cannot be made`);
  return frame(message);
}

// An inference.ModelInferResponse: model name (1), version (2), raw content (6).
export function inferResponse(messageBytes) {
  const head = Buffer.concat([field(1, 'ranker'), field(2, '1')]);
  return frame(Buffer.concat([head, field(6, Buffer.alloc(messageBytes - head.length - 2, 0x2a))]));
}
