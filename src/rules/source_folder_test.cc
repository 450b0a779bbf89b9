#include "rules/source_folder.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace signalbox::rules {
namespace {

// The names of the sources of rules that come from `files`, one each.
std::vector<std::string> NamesOf(const std::vector<std::string>& files) {
  v1::RuleSet rules;
  for (const std::string& file : files) rules.add_objectives()->mutable_source()->set_file(file);
  NameSourcesBelowTheirFolder(rules, files);
  std::vector<std::string> names;
  for (const v1::Objective& objective : rules.objectives()) names.push_back(objective.source().file());
  return names;
}

TEST(SourceFolder, AFileHasTheSameNameHoweverItsPathIsWritten) {
  const std::string absolute = (std::filesystem::current_path() / "a.js").string();
  for (const std::string& path : {std::string("a.js"), std::string("./a.js"), std::string("x/../a.js"), absolute}) {
    EXPECT_EQ(NamesOf({path}), std::vector<std::string>{"a.js"}) << path;
  }
}

TEST(SourceFolder, RulesOfEveryKindAreNamedBelowTheFolder) {
  v1::RuleSet rules;
  std::vector<v1::SourceLocation*> sources = {
      rules.add_objectives()->mutable_source(),  rules.add_context_rules()->mutable_source(),
      rules.add_experiments()->mutable_source(), rules.add_layers()->mutable_source(),
      rules.add_holdouts()->mutable_source(),    rules.add_traffic_shifts()->mutable_source(),
      rules.add_shadows()->mutable_source(),     rules.add_ensembles()->mutable_source(),
      rules.add_overrides()->mutable_source(),   rules.add_policies()->mutable_source()};
  for (v1::SourceLocation* source : sources) source->set_file("/home/ada/rules/home.js");
  NameSourcesBelowTheirFolder(rules, {"/home/ada/rules/home.js"});
  for (const v1::SourceLocation* source : sources) EXPECT_EQ(source->file(), "home.js");
}

TEST(SourceFolder, FilesOfSeveralFoldersAreToldApartBelowTheOneThatHoldsThemAll) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(NamesOf({"/home/ada/rules/home.js", "/home/ada/rules/team/home.js"}), (Names{"home.js", "team/home.js"}));
  EXPECT_EQ(NamesOf({"rules/a/x.js", "./rules/b/x.js"}), (Names{"a/x.js", "b/x.js"}));
  EXPECT_EQ(NamesOf({"/one/x.js", "/two/x.js"}), (Names{"one/x.js", "two/x.js"}));
}

}  // namespace
}  // namespace signalbox::rules
