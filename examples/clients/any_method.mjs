// Calls a method whose schema signalbox does not have: headers alone route it. Here it is grpc.health.v1.Health/Check, so
// the answer says whether the host that this user's model is on is well.
//
//   node examples/clients/any_method.mjs HOST:PORT USER
import grpc from '@grpc/grpc-js';

const [address, user] = process.argv.slice(2);
if (!user) {
  console.error('usage: node any_method.mjs HOST:PORT USER');
  process.exit(2);
}

const client = new grpc.Client(address, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
metadata.set('sb-objective', 'TitleRanking'); // there is no other place to name it: the body is not read
metadata.set('sb-user', user);

const emptyRequest = Buffer.alloc(0);
const asIs = (bytes) => bytes;
const servingStatus = (bytes) => ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'][bytes[1] ?? 0];
const options = { deadline: Date.now() + 1000 };

const call = client.makeUnaryRequest(
  '/grpc.health.v1.Health/Check', asIs, servingStatus, emptyRequest, metadata, options, (error, answer) => {
    client.close();
    if (error) {
      console.error(`status ${error.code}: ${error.details}`);
      process.exitCode = 1;
      return;
    }
    console.log(`its host is ${answer}`);
  });
call.on('metadata', (headers) => console.log(`${user} is with ${headers.get('sb-model')[0]}`));
