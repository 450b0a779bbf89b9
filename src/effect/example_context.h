// A request context that is put together field by field, by name.
#pragma once

#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "decide/request_context.h"
#include "effect/context_space.h"

namespace signalbox::effect {

class ExampleContext {
 public:
  // Empty: the request does not have the field.
  void Set(std::string_view field, std::string_view value);
  // The platform gave this cell of the experiment; empty: none.
  void SetRemoteCell(std::string_view experiment, std::string_view cell);
  const std::map<std::string, std::string>& values() const { return values_; }
  const std::map<std::string, std::string>& remote_cells() const { return remote_cells_; }

  // Views into this.
  decide::RequestContext Context(std::string_view objective, int64_t now_unix_ms);

 private:
  std::map<std::string, std::string> values_;
  std::map<std::string, std::string> remote_cells_;
  std::vector<decide::Attribute> attributes_;
  std::vector<decide::CellName> cells_;
};

// One of `contexts`: of each field the first kind that has an example; a unit that no rule names is `unit`.
ExampleContext ExampleOf(const ContextSpace& space, const ContextClass& contexts, std::string_view unit);
// Any, by chance.
ExampleContext RandomExample(const ContextSpace& space, std::mt19937_64& random);

// The class of just those kinds that `example` has.
ContextClass ClassOf(const ContextSpace& space, const ExampleContext& example);

}  // namespace signalbox::effect
