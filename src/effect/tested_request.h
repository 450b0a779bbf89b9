// A request as a test describes it, in the form that decisions are made from.
#pragma once

#include <string>
#include <vector>

#include "decide/request_context.h"
#include "rules/rule_tests.h"

namespace signalbox::effect {

class TestedRequest {
 public:
  // `given` outlives this. `generated`: the names of fields, beside `user`, that get a value where the test gives none.
  TestedRequest(const rules::TestedContext& given, const std::vector<std::string>& generated);
  TestedRequest(const TestedRequest&) = delete;
  TestedRequest& operator=(const TestedRequest&) = delete;

  // As the test gives it. Good for as long as this, until the next call.
  const decide::RequestContext& AsGiven();
  // The same with the unit of that number in the fields that are generated: `user` is "user-SEED-NUMBER".
  const decide::RequestContext& OfUnit(uint64_t seed, uint64_t number);

 private:
  struct Generated {
    std::string name;
    std::string value;
    std::string_view decide::RequestContext::*field;  // nullptr: an attribute
    size_t attribute;
  };

  void Generate(const std::string& name);

  decide::RequestContext context_;
  std::vector<decide::Attribute> attributes_;
  std::vector<decide::CellName> cells_;
  std::vector<Generated> generated_;
};

}  // namespace signalbox::effect
