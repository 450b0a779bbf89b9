#include "decide/placement_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace signalbox::decide {
namespace {

// More than this many errors help nobody, and a hostile file could make millions.
constexpr size_t kErrorsMax = 50;

// Reads the two levels that the file has, event by event. A document tree would not tell of keys that stand twice.
class PlacementReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit PlacementReader(std::string_view path) : path_(path) {}

  bool start_object(size_t) override {
    switch (level_) {
      case Level::kOutside:
        level_ = Level::kTop;
        return true;
      case Level::kTop:
        if (section_ == Section::kNone) break;
        level_ = Level::kSection;
        return true;
      default:
        break;
    }
    return Unexpected("an object");
  }

  bool key(std::string& name) override {
    if (level_ == Level::kTop) return EnterSection(name);
    name_ = name;
    if (name.empty()) Error(fmt::format("{}: a name is empty", section_name()));
    const bool repeated = section_ == Section::kShards ? !placement_.mutable_shards()->insert({name, {}}).second
                                                       : !placement_.mutable_models()->insert({name, {}}).second;
    if (repeated) Error(fmt::format("{} '{}' stands twice", entry_name(), name));
    return true;
  }

  bool start_array(size_t) override {
    if (level_ != Level::kSection) return Unexpected("a list");
    level_ = Level::kList;
    return true;
  }

  bool string(std::string& value) override {
    if (level_ != Level::kList) return Unexpected(fmt::format("the text \"{}\"", value));
    if (section_ == Section::kShards) {
      AddHost(value);
    } else {
      AddShardOfModel(value);
    }
    return true;
  }

  bool end_array() override {
    level_ = Level::kSection;
    if (section_ == Section::kShards && placement_.shards().at(name_).hosts().empty()) {
      Error(fmt::format("shard '{}' has no hosts, expected at least one \"HOST:PORT\"", name_));
    }
    if (section_ == Section::kModels && placement_.models().at(name_).shards().empty()) {
      Error(fmt::format("model '{}' has no shards, expected at least one", name_));
    }
    return true;
  }

  bool end_object() override {
    if (level_ == Level::kTop) {
      level_ = Level::kDone;
    } else {
      level_ = Level::kTop;
      section_ = Section::kNone;
    }
    return true;
  }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_integer(int64_t) override { return Unexpected("a number"); }
  bool number_unsigned(uint64_t) override { return Unexpected("a number"); }
  bool number_float(double, const std::string&) override { return Unexpected("a number"); }
  bool binary(nlohmann::json::binary_t&) override { return Unexpected("binary data"); }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) override {
    syntax_error_at_ = position;
    syntax_error_ = error.what();
    // "[json.exception.parse_error.101] parse error at line 3, column 1: syntax error while ...": the place is said by
    // us.
    if (size_t colon = syntax_error_.find(": "); colon != std::string::npos) syntax_error_.erase(0, colon + 2);
    return false;
  }

  absl::StatusOr<v1::Placement> Finish(std::string_view json) {
    if (!syntax_error_.empty()) {
      std::string_view before = json.substr(0, syntax_error_at_ == 0 ? 0 : syntax_error_at_ - 1);
      const auto line = 1 + std::count(before.begin(), before.end(), '\n');
      const size_t column = before.size() - (before.rfind('\n') + 1) + 1;
      return absl::InvalidArgumentError(fmt::format("{}:{}:{}: {}", path_, line, column, syntax_error_));
    }
    for (const auto& [model, shards] : placement_.models()) {
      for (const std::string& shard : shards.shards()) {
        if (!placement_.shards().contains(shard)) {
          Error(fmt::format("model '{}' is placed on shard '{}', which \"shards\" does not declare; declared: {}",
                            model, shard, DeclaredShards()));
        }
      }
    }
    if (errors_.empty()) return std::move(placement_);
    std::sort(errors_.begin(), errors_.end());  // models come in the order of a hash map
    if (errors_.size() > kErrorsMax) {
      const size_t more = errors_.size() - kErrorsMax;
      errors_.resize(kErrorsMax);
      errors_.push_back(fmt::format("{}: and {} more", path_, more));
    }
    return absl::InvalidArgumentError(fmt::format("{}", fmt::join(errors_, "\n")));
  }

 private:
  enum class Level { kOutside, kTop, kSection, kList, kDone };
  enum class Section { kNone, kShards, kModels };

  const char* section_name() const { return section_ == Section::kShards ? "\"shards\"" : "\"models\""; }
  const char* entry_name() const { return section_ == Section::kShards ? "shard" : "model"; }

  void Error(std::string_view what) { errors_.push_back(fmt::format("{}: {}", path_, what)); }

  // Ends the reading: what follows would be judged on the wrong level.
  bool Unexpected(std::string_view found) {
    std::string expected;
    if (level_ == Level::kOutside || (level_ == Level::kTop && section_ == Section::kNone)) {
      expected = "{\"shards\": {...}, \"models\": {...}}";
    } else if (level_ == Level::kTop) {
      expected = fmt::format("{} to be an object", section_name());
    } else if (section_ == Section::kShards) {
      expected = fmt::format("shard '{}' to be a list of \"HOST:PORT\"", name_);
    } else {
      expected = fmt::format("model '{}' to be a list of names of shards", name_);
    }
    Error(fmt::format("expected {}, found {}", expected, found));
    return false;
  }

  bool EnterSection(const std::string& name) {
    if (name != "shards" && name != "models") {
      Error(fmt::format("'{}' is not known here, expected \"shards\" and \"models\"", name));
      return false;
    }
    section_ = name == "shards" ? Section::kShards : Section::kModels;
    if (!sections_seen_.insert(name).second) Error(fmt::format("{} stands twice", section_name()));
    return true;
  }

  void AddHost(const std::string& host) {
    auto& hosts = *placement_.mutable_shards()->at(name_).mutable_hosts();
    if (!IsHostPort(host)) {
      Error(fmt::format(
          "shard '{}': '{}' is not a host, expected \"HOST:PORT\" or \"[IPv6]:PORT\" with a port from 1 to 65535",
          name_, host));
    } else if (std::find(hosts.begin(), hosts.end(), host) != hosts.end()) {
      Error(fmt::format("shard '{}': host '{}' stands twice", name_, host));
    }
    hosts.Add(std::string(host));
  }

  void AddShardOfModel(const std::string& shard) {
    auto& shards = *placement_.mutable_models()->at(name_).mutable_shards();
    if (std::find(shards.begin(), shards.end(), shard) != shards.end()) {
      Error(fmt::format("model '{}': shard '{}' stands twice", name_, shard));
    }
    shards.Add(std::string(shard));
  }

  std::string DeclaredShards() const {
    std::set<std::string_view> names;
    for (const auto& [name, shard] : placement_.shards()) names.insert(name);
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
  }

  const std::string_view path_;
  Level level_ = Level::kOutside;
  Section section_ = Section::kNone;
  std::string name_;  // of the shard or model that is being read
  std::set<std::string> sections_seen_;
  v1::Placement placement_;
  std::vector<std::string> errors_;
  size_t syntax_error_at_ = 0;
  std::string syntax_error_;
};

}  // namespace

bool IsHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view host = text.substr(0, colon);
  std::string_view port_text = text.substr(colon + 1);
  int port = 0;
  auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc() || end != port_text.data() + port_text.size() || port < 1 || port > 65535) return false;
  if (host.front() == '[') {
    return host.size() > 2 && host.back() == ']' &&
           host.substr(1, host.size() - 2).find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
  }
  return host.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
         std::string_view::npos;
}

absl::StatusOr<v1::Placement> ParsePlacementFile(std::string_view path_for_messages, std::string_view json) {
  if (json.size() > kPlacementFileBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("{}: {} bytes, the limit is {}", path_for_messages, json.size(), kPlacementFileBytesMax));
  }
  PlacementReader reader(path_for_messages);
  nlohmann::json::sax_parse(json, &reader);
  return reader.Finish(json);
}

}  // namespace signalbox::decide
