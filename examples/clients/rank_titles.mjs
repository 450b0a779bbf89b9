// Ranks titles through signalbox with the Open Inference Protocol. The client names an Objective and never a model.
//
//   node examples/clients/rank_titles.mjs HOST:PORT USER TITLE...
//
// HOST:PORT is the proxy's; the demo prints it.
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const [address, user, ...titles] = process.argv.slice(2);
if (titles.length === 0) {
  console.error('usage: node rank_titles.mjs HOST:PORT USER TITLE...');
  process.exit(2);
}

const contract = fileURLToPath(new URL('../../api/inference/open_inference.proto', import.meta.url));
const { inference } = grpc.loadPackageDefinition(protoLoader.loadSync(contract, { keepCase: true }));
const client = new inference.GRPCInferenceService(address, grpc.credentials.createInsecure());

const metadata = new grpc.Metadata();
metadata.set('sb-user', user); // whom experiments are sticky by
metadata.set('sb-context', 'country=US, device=tv, surface=home');

const request = {
  model_name: 'TitleRanking', // the Objective
  inputs: [
    {
      name: 'title',
      datatype: 'BYTES',
      shape: [titles.length],
      contents: { bytes_contents: titles.map((title) => Buffer.from(title)) },
    },
  ],
};

const call = client.ModelInfer(request, metadata, { deadline: Date.now() + 1000 }, (error, response) => {
  client.close();
  if (error) {
    console.error(`status ${error.code}: ${error.details}`);
    process.exitCode = 1;
    return;
  }
  const [ranked, scores] = response.outputs.map((output) => output.contents);
  ranked.bytes_contents.forEach((title, i) =>
    console.log(`${String(i + 1).padStart(3)}  ${scores.fp32_contents[i].toFixed(2)}  ${title}`),
  );
});
// What signalbox says about its decision.
call.on('metadata', (headers) => {
  const [model, reason, decision, snapshot] = ['sb-model', 'sb-reason', 'sb-decision', 'sb-snapshot'].map(
    (name) => headers.get(name)[0],
  );
  console.log(`answered by ${model} (${reason}), decision ${decision}, snapshot ${snapshot}`);
});
