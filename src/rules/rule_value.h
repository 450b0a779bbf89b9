// What a rule file declared, as plain data: copied out of the engine, so that whoever reads it never runs JavaScript.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace signalbox::rules {

// From 1, columns in UTF-16 units; line 0: unknown.
struct Place {
  uint32_t line = 0;
  uint32_t column = 0;
};

// `Objectives.Name`, and where that was written.
struct ObjectiveName {
  std::string name;
  Place place;
};

// What no rule has a use for, in words: "a function", "a Promise".
struct Unusable {
  std::string what;
};

struct RuleProperty;

struct RuleValue {
  struct Nothing {};  // undefined and null
  using Array = std::vector<RuleValue>;
  using Object = std::vector<RuleProperty>;  // in the order of the script's keys

  std::variant<Nothing, bool, double, std::string, ObjectiveName, Unusable, Array, Object> data;
};

struct RuleProperty {
  std::string name;
  RuleValue value;
};

struct SourceKey;

// Where the parts of an expression stand in the source, as far as that can be told without running it.
struct SourceNode {
  Place place;
  std::vector<SourceKey> keys;
  std::vector<SourceNode> items;
  // Those behind what is spread (`...others`) and cannot be counted by looking, up to the end.
  std::vector<SourceNode> last_items = {};

  // nullptr when there is no such key.
  const SourceNode* Find(std::string_view key) const;
  // Of an array that turned out to have `count` items. nullptr where it cannot be told.
  const SourceNode* ItemAt(size_t index, size_t count) const;
};

struct SourceKey {
  std::string name;
  SourceNode node;
};

inline const SourceNode* SourceNode::Find(std::string_view key) const {
  for (const SourceKey& one : keys) {
    if (one.name == key) return &one.node;
  }
  return nullptr;
}

inline const SourceNode* SourceNode::ItemAt(size_t index, size_t count) const {
  if (index < items.size()) return &items[index];
  if (index >= count || count - index > last_items.size()) return nullptr;
  return &last_items[last_items.size() - (count - index)];
}

struct DeclaredRule {
  std::string file;
  // "defineHomeRule", or "export default [3]".
  std::string label;
  SourceNode source;
  RuleValue value;
};

}  // namespace signalbox::rules
