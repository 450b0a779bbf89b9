// What lies between the parts of a run: delay, loss, cuts. Between processes there are TCP connections, so the messages
// of one stream keep their order and are not doubled; those of different streams do as they like.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "tests/simulation/random.h"

namespace signalbox::simulation {

struct NetworkWeather {
  int64_t delay_ms_max = 5;
  double loss = 0;  // of one message
  double slow = 0;  // part of the messages that take up to slow_ms_max
  int64_t slow_ms_max = 0;
};

class Network {
 public:
  explicit Network(Random& random) : random_(random) {}

  void set_weather(const NetworkWeather& weather) { weather_ = weather; }
  const NetworkWeather& weather() const { return weather_; }

  // Of messages from one part to the other, in that direction.
  void Cut(const std::string& from, const std::string& to) { cuts_.insert({from, to}); }
  void Mend(const std::string& from, const std::string& to) { cuts_.erase({from, to}); }
  void MendAll() { cuts_.clear(); }
  bool IsCut(const std::string& from, const std::string& to) const {
    return !cuts_.empty() && cuts_.contains({from, to});
  }

  // How long a message is on its way; nullopt: for ever.
  std::optional<int64_t> Delay(const std::string& from, const std::string& to) {
    if (IsCut(from, to) || random_.Chance(weather_.loss)) return std::nullopt;
    if (random_.Chance(weather_.slow)) return random_.Between(1, weather_.slow_ms_max);
    return random_.Between(1, weather_.delay_ms_max);
  }

 private:
  Random& random_;
  NetworkWeather weather_;
  std::set<std::pair<std::string, std::string>> cuts_;
};

}  // namespace signalbox::simulation
