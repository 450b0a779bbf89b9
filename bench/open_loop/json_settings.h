// Settings of a benchmark's program: one JSON object, read from a file.
#pragma once

#include <string>
#include <string_view>

#include "google/protobuf/struct.pb.h"

namespace signalbox::bench {

using Object = google::protobuf::Struct;
using Value = google::protobuf::Value;

// Ends the program with a message where the file is no JSON object.
Object ReadSettings(const std::string& file);

double Number(const Object& object, std::string_view key, double otherwise);
std::string Text(const Object& object, std::string_view key, std::string_view otherwise);
// Empty where there is none.
const google::protobuf::ListValue& List(const Object& object, std::string_view key);
const Object& Child(const Object& object, std::string_view key);

}  // namespace signalbox::bench
