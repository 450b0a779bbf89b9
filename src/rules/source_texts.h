// The texts of all files of a rule set, to say where things stand in them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/string_map.h"
#include "rules/rules.h"
#include "rules/source_lines.h"

namespace signalbox::rules {

struct SourceText {
  size_t index;  // among the files of the rule set
  std::string_view path;
  SourceLines lines;
};

class SourceTexts {
 public:
  // `files` outlive this.
  explicit SourceTexts(std::span<const SourceFile> files) {
    for (size_t i = 0; i < files.size(); ++i)
      texts_.emplace(files[i].path, SourceText{i, files[i].path, SourceLines(files[i].text)});
  }

  // nullptr when `path` is no file of the rule set. `path` as in SourceFile, which is what the engine knows a file by.
  const SourceText* Find(std::string_view path) const {
    const auto found = texts_.find(path);
    return found == texts_.end() ? nullptr : &found->second;
  }

 private:
  StringMap<SourceText> texts_;
};

}  // namespace signalbox::rules
