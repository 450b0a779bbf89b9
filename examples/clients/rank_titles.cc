// Ranks titles through signalbox with the Open Inference Protocol. The client names an Objective and never a model.
//
//   rank_titles HOST:PORT USER TITLE...
//
// HOST:PORT is the proxy's; the demo prints it. Built by `make build` to build/release/examples/clients/rank_titles.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iomanip>
#include <iostream>
#include <map>
#include <string>

#include "inference/open_inference.grpc.pb.h"

namespace {

inference::ModelInferRequest RequestFor(char** titles, int count) {
  inference::ModelInferRequest request;
  request.set_model_name("TitleRanking");  // the Objective
  auto* input = request.add_inputs();
  input->set_name("title");
  input->set_datatype("BYTES");
  input->add_shape(count);
  for (int i = 0; i < count; ++i) input->mutable_contents()->add_bytes_contents(titles[i]);
  return request;
}

// What signalbox says about its decision. Headers of a call that failed early come at its end.
std::string Header(const grpc::ClientContext& context, const char* name) {
  for (const auto* headers : {&context.GetServerInitialMetadata(), &context.GetServerTrailingMetadata()}) {
    if (const auto found = headers->find(name); found != headers->end()) {
      return {found->second.data(), found->second.size()};
    }
  }
  return "none";
}

void Print(const inference::ModelInferResponse& response) {
  const auto& titles = response.outputs(0).contents();
  const auto& scores = response.outputs(1).contents();
  for (int i = 0; i < titles.bytes_contents_size(); ++i) {
    std::cout << std::setw(3) << i + 1 << "  " << std::fixed << std::setprecision(2) << scores.fp32_contents(i) << "  "
              << titles.bytes_contents(i) << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: rank_titles HOST:PORT USER TITLE...\n";
    return 2;
  }
  const auto channel = grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials());
  const auto stub = inference::GRPCInferenceService::NewStub(channel);

  grpc::ClientContext context;
  context.AddMetadata("sb-user", argv[2]);  // whom experiments are sticky by
  context.AddMetadata("sb-context", "country=US, device=tv, surface=home");
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));

  inference::ModelInferResponse response;
  const grpc::Status status = stub->ModelInfer(&context, RequestFor(argv + 3, argc - 3), &response);
  if (!status.ok()) {
    std::cerr << "status " << status.error_code() << ": " << status.error_message() << "\n";
    return 1;
  }
  std::cout << "answered by " << Header(context, "sb-model") << " (" << Header(context, "sb-reason") << "), decision "
            << Header(context, "sb-decision") << ", snapshot " << Header(context, "sb-snapshot") << "\n";
  if (response.outputs_size() != 2) {
    std::cerr << "the answer has " << response.outputs_size() << " outputs, expected titles and scores\n";
    return 1;
  }
  Print(response);
  return 0;
}
