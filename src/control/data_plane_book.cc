#include "control/data_plane_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace signalbox::control {
namespace {

// All data planes together must fit into one record; the whole text is in the log of the control plane that heard it.
std::string Short(const std::string& refusal) {
  constexpr size_t kBytesMax = 200;
  size_t bytes = std::min(kBytesMax, refusal.size());
  while (bytes > 0 && bytes < refusal.size() && (static_cast<unsigned char>(refusal[bytes]) & 0xc0) == 0x80) --bytes;
  return refusal.substr(0, bytes);
}

// Whether `a` is the better witness of one data plane.
bool KnowsBetter(const v1::DataPlane& a, const v1::DataPlane& b) {
  if (a.connected() != b.connected()) return a.connected();
  return a.last_seen_unix_ms() > b.last_seen_unix_ms();
}

// What stands in the record of each is made anew only when there is something else to say.
bool SaysNothingNew(const SubscriberInfo& subscriber, const v1::DataPlane& known) {
  return known.connected() && known.running_version() == subscriber.running_version &&
         known.oldest_version_in_use() == subscriber.oldest_version_in_use &&
         known.acknowledged_version() == subscriber.acknowledged_version &&
         known.refused_version() == subscriber.refused_version && known.refusal() == Short(subscriber.refusal) &&
         known.withheld() == Short(subscriber.withheld) &&
         std::equal(known.scopes().begin(), known.scopes().end(), subscriber.scopes.begin(), subscriber.scopes.end());
}

}  // namespace

void DataPlaneBook::Hear(const std::vector<SubscriberInfo>& subscribers, Moment now) {
  std::set<std::string> connected;
  for (const SubscriberInfo& subscriber : subscribers) {
    connected.insert(subscriber.node_id);
    v1::DataPlane& known = own_[subscriber.node_id].said;
    if (SaysNothingNew(subscriber, known)) continue;
    own_changed_ = true;
    known.set_node_id(subscriber.node_id);
    known.clear_scopes();
    for (const std::string& scope : subscriber.scopes) known.add_scopes(scope);
    // While it is connected its record would otherwise change with each look at the clock.
    if (!known.connected()) known.set_last_seen_unix_ms(now.unix_ms);
    known.set_connected(true);
    known.set_running_version(subscriber.running_version);
    known.set_oldest_version_in_use(subscriber.oldest_version_in_use);
    known.set_refusal(Short(subscriber.refusal));
    known.set_refused_version(subscriber.refused_version);
    known.set_acknowledged_version(subscriber.acknowledged_version);
    known.set_withheld(Short(subscriber.withheld));
  }
  for (auto& [node, known] : own_) {
    if (!known.said.connected() || connected.contains(node)) continue;
    own_changed_ = true;
    known.said.set_connected(false);
    known.said.set_last_seen_unix_ms(now.unix_ms);
    known.away_since_steady_ms = now.steady_ms;
  }
  const size_t forgotten = std::erase_if(own_, [&](const auto& entry) {
    return !entry.second.said.connected() && now.steady_ms - entry.second.away_since_steady_ms > forget_after_.count();
  });
  own_changed_ = own_changed_ || forgotten > 0;
}

void DataPlaneBook::StoreIsAway(Moment now) {
  for (auto& [node, known] : own_) known.away_since_steady_ms = now.steady_ms;
}

void DataPlaneBook::Read(const std::vector<store::Record>& records, const std::set<std::string>& living, Moment now) {
  others_.clear();
  abandoned_.clear();
  std::map<std::string, Moment> away_since;
  for (const store::Record& record : records) {
    if (!record.key.starts_with(kDataPlaneRecords)) continue;
    const std::string control = record.key.substr(kDataPlaneRecords.size());
    const bool is_own = control == node_id_;
    if (is_own && read_own_) continue;
    const bool lives = !is_own && living.contains(control);
    Moment since = now;
    if (!lives && !is_own) {
      const auto known = away_since_.find(control);
      if (known != away_since_.end()) since = known->second;
      away_since.emplace(control, since);
      if (now.steady_ms - since.steady_ms > forget_after_.count()) {
        abandoned_.push_back({.key = record.key, .expected_revision = record.revision});
      }
    }
    v1::DataPlanes book;
    if (!book.ParseFromString(record.value)) continue;
    for (v1::DataPlane& data_plane : *book.mutable_data_planes()) {
      if (lives) break;
      if (data_plane.connected()) data_plane.set_last_seen_unix_ms(since.unix_ms);
      data_plane.set_connected(false);
    }
    if (!is_own) {
      others_[control] = std::move(book);
      continue;
    }
    for (v1::DataPlane& data_plane : *book.mutable_data_planes()) {
      const std::string node = data_plane.node_id();
      own_.try_emplace(node, Own{std::move(data_plane), now.steady_ms});
    }
    own_changed_ = true;
  }
  away_since_ = std::move(away_since);
  read_own_ = true;
}

std::optional<store::RecordWrite> DataPlaneBook::ToWrite() {
  if (std::exchange(own_changed_, false)) {
    v1::DataPlanes book;
    book.set_control(node_id_);
    for (const auto& [node, data_plane] : own_) *book.add_data_planes() = data_plane.said;
    to_write_ = book.SerializeAsString();
  }
  // Nobody was ever heard of: nothing to write. But the last one that left is to be known as gone.
  if (written_ ? *written_ == to_write_ : own_.empty()) return std::nullopt;
  return store::RecordWrite{.key = fmt::format("{}{}", kDataPlaneRecords, node_id_), .value = to_write_};
}

std::vector<v1::DataPlane> DataPlaneBook::All() const {
  std::map<std::string, const v1::DataPlane*> best;
  auto add = [&](const v1::DataPlane& data_plane) {
    const v1::DataPlane*& known = best[data_plane.node_id()];
    if (known == nullptr || KnowsBetter(data_plane, *known)) known = &data_plane;
  };
  for (const auto& [node, data_plane] : own_) add(data_plane.said);
  for (const auto& [control, book] : others_) {
    for (const v1::DataPlane& data_plane : book.data_planes()) add(data_plane);
  }
  std::vector<v1::DataPlane> all;
  for (const auto& [node, data_plane] : best) all.push_back(*data_plane);
  return all;
}

}  // namespace signalbox::control
