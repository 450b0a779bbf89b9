#include "base/canonical_json.h"

#include <gtest/gtest.h>

#include "signalbox/v1/rules.pb.h"

namespace signalbox {
namespace {

TEST(CanonicalJson, KeysAreSortedAndThereIsNoWhiteSpace) {
  v1::RuleSet rules;
  rules.set_namespace_("home");
  v1::Objective& objective = *rules.add_objectives();
  objective.set_name("Home");
  objective.mutable_default_model()->set_version("2");
  objective.mutable_default_model()->set_name("m");
  (*objective.mutable_parameters())["z"] = "1";
  (*objective.mutable_parameters())["a"] = "\xC3\xA9";
  EXPECT_EQ(
      CanonicalJson(rules).value(),
      "{\"namespace\":\"home\",\"objectives\":[{\"default_model\":{\"name\":\"m\",\"version\":\"2\"},\"name\":\"Home\","
      "\"parameters\":{\"a\":\"\xC3\xA9\",\"z\":\"1\"}}]}");
}

TEST(CanonicalJson, ParsingGivesTheMessageBack) {
  v1::RuleSet rules;
  rules.set_namespace_("home");
  rules.add_experiments()->set_priority(-3);
  v1::RuleSet again;
  ASSERT_TRUE(ParseJson(CanonicalJson(rules).value(), again).ok());
  EXPECT_EQ(CanonicalJson(again).value(), CanonicalJson(rules).value());
}

TEST(CanonicalJson, AnUnknownFieldIsRefused) {
  v1::RuleSet rules;
  EXPECT_FALSE(ParseJson("{\"namespace\":\"home\",\"colour\":1}", rules).ok());
  EXPECT_FALSE(ParseJson("{", rules).ok());
}

}  // namespace
}  // namespace signalbox
