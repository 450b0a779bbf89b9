// What the data path must know of gRPC over HTTP/2: deadlines, statuses, and which methods have which body.
// After the published protocol description ("gRPC over HTTP2").
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace signalbox::proxy {

// `grpc-timeout`: up to 8 digits and a unit. nullopt when it is none. Longer ones than a year are a year.
std::optional<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text);
// Never longer than `timeout`, and at most 8 digits. Into a buffer of at least 16 bytes; returns what was written.
// Allocation-free.
std::string_view FormatGrpcTimeout(std::chrono::nanoseconds timeout, char* out);

// `grpc-message`: percent-encoded, and cut where it is long.
std::string EncodeGrpcMessage(std::string_view message);

// `grpc-status` as number; UNKNOWN (2) for what is none.
int ParseGrpcStatus(std::string_view text);
// What gRPC says an HTTP status without grpc-status means.
int GrpcStatusOfHttp(int http_status);

// What the proxy does with the body of a method.
enum class BodyKind : uint8_t {
  kOpaque,      // headers alone; an unknown schema is never written into
  kInfer,       // inference.ModelInferRequest
  kModel,       // inference.ModelReadyRequest and ModelMetadataRequest: name and version
  kServe,       // signalbox.v1.ServeRequest
  kServerLive,  // asked of the proxy itself
  kServerReady,
  kServerMetadata,
  kRefused,  // the repository extension: operators talk to hosts, clients do not
};
BodyKind BodyKindOfMethod(std::string_view path);

// Whether the method, of kind kInfer, is the one that answers with a stream.
bool IsInferenceStream(std::string_view path);

// The 5 bytes before an uncompressed message of so many bytes.
std::array<char, 5> MessagePrefix(uint32_t message_bytes);

// Number of the field that holds the Objective; 0 where there is none.
uint32_t ObjectiveField(BodyKind kind);

}  // namespace signalbox::proxy
