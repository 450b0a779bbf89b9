// The tests of one field, made of any value as the decision makes them.
#pragma once

#include <cstddef>
#include <deque>
#include <memory_resource>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "decide/condition.h"
#include "signalbox/v1/condition.pb.h"

namespace signalbox::effect {

class FieldTests {
 public:
  explicit FieldTests(const std::vector<v1::FieldTest>& tests);

  // Whether the test holds for a request whose field is `value` ("" where it has none). Of `segments`, one item.
  bool Holds(size_t test, std::string_view value) const;
  // Of all tests. Reads the value once for all tests that list values, of which there may be tens of thousands.
  std::vector<bool> AllOf(std::string_view value) const;

 private:
  std::pmr::monotonic_buffer_resource memory_;
  decide::ConditionCompiler compiler_;
  std::deque<v1::Condition> protos_;
  std::vector<const decide::Condition*> conditions_;
  // Tests that list a value, by value; views into protos_.
  absl::flat_hash_map<std::string_view, std::vector<size_t>> listing_;
  std::vector<size_t> others_;
};

// "4.2+abc" -> "4.2": the part that has an order.
std::string WithoutBuild(std::string_view version);
// The version right behind `version`: none lies between the two, but for pre-releases of pre-releases.
std::string NextVersion(std::string_view version);

}  // namespace signalbox::effect
