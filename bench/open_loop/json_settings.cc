#include "bench/open_loop/json_settings.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "google/protobuf/util/json_util.h"

namespace signalbox::bench {
namespace {

const Value* Find(const Object& object, std::string_view key) {
  const auto found = object.fields().find(std::string(key));
  return found == object.fields().end() ? nullptr : &found->second;
}

}  // namespace

Object ReadSettings(const std::string& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  Object object;
  const auto status = google::protobuf::util::JsonStringToMessage(text.str(), &object);
  if (in && status.ok()) return object;
  fmt::print(stderr, "{}: expected a JSON object: {}\n", file, in ? status.ToString() : "cannot be read");
  std::exit(2);
}

double Number(const Object& object, std::string_view key, double otherwise) {
  const Value* value = Find(object, key);
  return value == nullptr ? otherwise : value->number_value();
}

std::string Text(const Object& object, std::string_view key, std::string_view otherwise) {
  const Value* value = Find(object, key);
  return value == nullptr ? std::string(otherwise) : value->string_value();
}

const google::protobuf::ListValue& List(const Object& object, std::string_view key) {
  const Value* value = Find(object, key);
  return value == nullptr ? google::protobuf::ListValue::default_instance() : value->list_value();
}

const Object& Child(const Object& object, std::string_view key) {
  const Value* value = Find(object, key);
  return value == nullptr ? Object::default_instance() : value->struct_value();
}

}  // namespace signalbox::bench
