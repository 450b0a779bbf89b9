#include "proxy/context_headers.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "api/headers.h"
#include "base/status.h"
#include "proxy/header_dictionary.h"

namespace signalbox::proxy {
namespace {

struct ContextField {
  std::string_view key;
  std::string_view decide::RequestContext::*member;
};
constexpr ContextField kContextFields[] = {{"country", &decide::RequestContext::country},
                                           {"locale", &decide::RequestContext::locale},
                                           {"device", &decide::RequestContext::device},
                                           {"surface", &decide::RequestContext::surface},
                                           {"app-version", &decide::RequestContext::app_version}};

absl::Status ReadSegments(DictionaryReader& reader, DictionaryReader::Member& member, ContextHeaders& out) {
  if (!member.is_list) return reader.Refuse(member.place, "an inner list, `segments=(\"kids\" \"premium\")`");
  size_t bytes = 0;
  for (;;) {
    std::string_view segment;
    RETURN_IF_ERROR(reader.ReadItem(member, segment));
    if (segment.data() == nullptr) break;
    // They are separated by spaces from here on.
    if (segment.empty() || segment.find(' ') != std::string_view::npos) {
      return reader.Refuse(segment, "the name of a segment, without spaces");
    }
    const size_t separator = bytes == 0 ? 0 : 1;
    if (bytes + separator + segment.size() > kSegmentBytesMax) {
      return reader.Refuse(segment, fmt::format("segments of at most {} bytes together", kSegmentBytesMax));
    }
    if (separator != 0) out.segments[bytes++] = ' ';
    bytes += segment.copy(&out.segments[bytes], segment.size());
  }
  out.context.segments = {out.segments.data(), bytes};
  return absl::OkStatus();
}

absl::Status ReadDictionary(std::string_view text, ContextHeaders& out) {
  DictionaryReader reader(headers::kContext, text, "country=US, device=tv, surface=home");
  size_t attributes = 0;
  for (DictionaryReader::Member member; !reader.done();) {
    RETURN_IF_ERROR(reader.Read(member));
    // RFC 8941: of members with the same key the last one counts.
    if (member.key == "segments") {
      RETURN_IF_ERROR(ReadSegments(reader, member, out));
      continue;
    }
    if (member.is_list) return reader.Refuse(member.place, "a single value: only `segments` is an inner list");
    const auto* field = std::find_if(std::begin(kContextFields), std::end(kContextFields),
                                     [&](const ContextField& each) { return each.key == member.key; });
    if (field != std::end(kContextFields)) {
      out.context.*(field->member) = member.value;
      continue;
    }
    size_t slot = 0;
    while (slot < attributes && out.attributes[slot].key != member.key) ++slot;
    if (slot == kAttributesMax) {
      return absl::InvalidArgumentError(fmt::format("header sb-context has more than {} attributes", kAttributesMax));
    }
    out.attributes[slot] = {member.key, member.value};
    attributes = std::max(attributes, slot + 1);
  }
  out.context.attributes = {out.attributes.data(), attributes};
  return absl::OkStatus();
}

// "12345=2;777=1"
absl::Status ReadOverrideCells(const DictionaryReader& reader, std::string_view text, ContextHeaders& out) {
  size_t count = 0;
  while (!text.empty()) {
    const std::string_view entry = text.substr(0, text.find(';'));
    const size_t equals = entry.find('=');
    if (equals == 0 || equals == std::string_view::npos || equals + 1 == entry.size()) {
      return reader.Refuse(entry, "EXPERIMENT=CELL");
    }
    const decide::CellName cell = {.experiment = entry.substr(0, equals), .cell = entry.substr(equals + 1)};
    const auto end = out.override_cells.begin() + static_cast<ptrdiff_t>(count);
    const bool twice = std::any_of(out.override_cells.begin(), end,
                                   [&](const decide::CellName& each) { return each.experiment == cell.experiment; });
    if (twice) return reader.Refuse(entry, "one cell for each experiment");
    if (count == kOverrideCellsMax) return reader.Refuse(entry, fmt::format("at most {} cells", kOverrideCellsMax));
    out.override_cells[count++] = cell;
    text.remove_prefix(entry.size());
    if (text.empty()) break;
    text.remove_prefix(1);
    if (text.empty()) return reader.Refuse(text, "another EXPERIMENT=CELL behind the last ';'");
  }
  out.context.override_cells = {out.override_cells.data(), count};
  return absl::OkStatus();
}

absl::Status ReadOverride(std::string_view text, ContextHeaders& out) {
  DictionaryReader reader(headers::kOverride, text, "model=\"ranker@3\", cells=\"12345=2;777=1\"");
  for (DictionaryReader::Member member; !reader.done();) {
    RETURN_IF_ERROR(reader.Read(member));
    // What is misspelt would be a test that tests something else.
    if (member.key != "model" && member.key != "cells") return reader.Refuse(member.key, "`model` or `cells`");
    if (member.is_list || member.is_boolean) return reader.Refuse(member.place, "a \"string\"");
    if (member.key == "model") {
      out.context.override_model = member.value;
    } else {
      RETURN_IF_ERROR(ReadOverrideCells(reader, member.value, out));
    }
  }
  return absl::OkStatus();
}

absl::Status SetOnce(const Header& header, std::string_view& field) {
  if (field.data() != nullptr) return absl::InvalidArgumentError(fmt::format("header {} is there twice", header.name));
  field = header.value;
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadContext(const HeaderList& headers, ContextHeaders& out) {
  std::string_view dictionary;
  std::string_view traffic;
  std::string_view override_text;
  out.context = {};
  for (const Header& header : headers.headers()) {
    if (!header.name.starts_with(headers::kPrefix)) continue;
    if (header.name == headers::kObjective) RETURN_IF_ERROR(SetOnce(header, out.context.objective));
    if (header.name == headers::kUser) RETURN_IF_ERROR(SetOnce(header, out.context.user));
    if (header.name == headers::kTenant) RETURN_IF_ERROR(SetOnce(header, out.context.tenant));
    if (header.name == headers::kContext) RETURN_IF_ERROR(SetOnce(header, dictionary));
    if (header.name == headers::kTraffic) RETURN_IF_ERROR(SetOnce(header, traffic));
    if (header.name == headers::kOverride) RETURN_IF_ERROR(SetOnce(header, override_text));
  }
  if (!traffic.empty()) {
    const std::optional<decide::TrafficType> type = decide::ParseTrafficType(traffic);
    if (!type) {
      return absl::InvalidArgumentError(
          fmt::format("header sb-traffic is \"{}\", expected live, synthetic, replay or shadow", traffic));
    }
    out.context.traffic_type = *type;
  }
  if (!dictionary.empty()) RETURN_IF_ERROR(ReadDictionary(dictionary, out));
  return override_text.empty() ? absl::OkStatus() : ReadOverride(override_text, out);
}

}  // namespace signalbox::proxy
