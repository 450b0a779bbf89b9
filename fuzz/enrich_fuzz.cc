// Any bytes as the body of a request, in any parts: what the walk accepts, protobuf reads as the same message with the
// suffix merged.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "inference/open_inference.pb.h"
#include "proxy/body_queue.h"
#include "proxy/enrich.h"
#include "proxy/message_walk.h"
#include "proxy/request_body.h"

namespace {

// model_name "m".
constexpr std::string_view kSuffix = "\x0a\x01m";

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const google::protobuf::LogSilencer silence;
  if (size < 2) return 0;
  const size_t part_bytes = 1 + data[0];
  const bool framed = data[1] % 2 == 0;
  std::string body(reinterpret_cast<const char*>(data + 2), size - 2);
  // Most random prefixes lie; every second input gets a true one, so that what is behind it is reached.
  if (framed) body.insert(0, {0, 0, 0, static_cast<char>(body.size() >> 8), static_cast<char>(body.size())});
  if (size > 0xFFFF) return 0;

  signalbox::proxy::WorkerMemory memory;
  signalbox::proxy::RequestBody received(memory);
  // Read once and gone, or kept for others.
  signalbox::proxy::KeptBytes kept;
  if (data[1] % 4 >= 2) received.Keep(SIZE_MAX, kept, UINT64_MAX);
  signalbox::proxy::BodyReader reader;
  reader.Begin(received);
  signalbox::proxy::BodyQueue enriched(memory);
  signalbox::proxy::MessageEnricher enricher(kSuffix);
  signalbox::proxy::MessageWalk walk;
  walk.Start(/*name_field=*/1);
  bool overflow = false;
  bool accepted = true;
  for (size_t at = 0; accepted && at < body.size(); at += part_bytes) {
    const std::string_view part = std::string_view(body).substr(at, part_bytes);
    accepted = walk.Read(part).ok();
    if (!accepted) break;
    received.Append(part, {});
    enricher.Move(reader, enriched, SIZE_MAX, overflow);
  }
  if (!accepted || !walk.End().ok() || overflow || walk.messages() != 1 || walk.met_compressed()) return 0;

  std::string out;
  while (!enriched.empty()) {
    const signalbox::proxy::Piece piece = enriched.TakeFront(enriched.bytes());
    out.append(piece.data, piece.size);
  }
  Require(out.size() == body.size() + kSuffix.size());
  // The content of fields is not the walk's business: only where protobuf can read the original must it read the
  // result.
  inference::ModelInferRequest original;
  inference::ModelInferRequest result;
  if (!original.ParseFromArray(body.data() + 5, static_cast<int>(body.size() - 5))) return 0;
  Require(result.ParseFromArray(out.data() + 5, static_cast<int>(out.size() - 5)));
  Require(result.model_name() == "m");
  result.set_model_name(original.model_name());
  Require(result.SerializeAsString() == original.SerializeAsString());
  // An empty name counts as none, wherever it stands.
  Require(original.model_name().empty() || walk.name() == original.model_name());
  return 0;
}
