#include <gtest/gtest.h>

#include "store/store.h"

namespace signalbox::store {
namespace {

TEST(Topics, EachNameIsReadBackByItsOwnReverseAlone) {
  EXPECT_EQ(RulesTopic("home"), "rules/home");
  EXPECT_EQ(TrafficTopic("home"), "traffic/home");
  EXPECT_EQ(ReleaseTopic("home"), "release/home");
  EXPECT_EQ(ActiveTopic("home"), "active/home");
  EXPECT_EQ(ActiveTopic("home", "region=eu"), "active/home/region=eu");

  EXPECT_EQ(NamespaceOfTopic("rules/home"), "home");
  EXPECT_EQ(NamespaceOfTrafficTopic("traffic/home"), "home");
  EXPECT_EQ(NamespaceOfReleaseTopic("release/home"), "home");
  EXPECT_EQ(NamespaceOfTopic("traffic/home"), std::nullopt);
  EXPECT_EQ(NamespaceOfTrafficTopic("rules/home"), std::nullopt);
  EXPECT_EQ(NamespaceOfReleaseTopic("rules/home"), std::nullopt);
  EXPECT_FALSE(NameOfActiveTopic("rules/home"));
}

TEST(Topics, WhatIsActiveHasANamespaceAndMayHaveAScope) {
  auto everywhere = NameOfActiveTopic("active/home");
  ASSERT_TRUE(everywhere);
  EXPECT_EQ(everywhere->namespace_name, "home");
  EXPECT_EQ(everywhere->scope, "");
  auto in_scope = NameOfActiveTopic("active/home/region=eu");
  ASSERT_TRUE(in_scope);
  EXPECT_EQ(in_scope->namespace_name, "home");
  EXPECT_EQ(in_scope->scope, "region=eu");
  EXPECT_FALSE(NameOfActiveTopic("active/home/"));
}

TEST(Topics, AScopeIsALabel) {
  for (const char* scope : {"region=eu", "Cluster.name=eu-west_1"}) EXPECT_TRUE(CheckScope(scope).ok()) << scope;
  for (const char* scope : {"", "eu", "=eu", "region=", "region=a=b", "region=a/b", "re gion=eu"})
    EXPECT_EQ(CheckScope(scope).code(), absl::StatusCode::kInvalidArgument) << scope;
}

}  // namespace
}  // namespace signalbox::store
