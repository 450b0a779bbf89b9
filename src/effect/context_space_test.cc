#include "effect/context_space.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include "effect/class_words.h"

namespace signalbox::effect {
namespace {

v1::FieldTest FieldTestOf(const std::string& text) {
  v1::FieldTest test;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &test)) << text;
  return test;
}

const std::string kAmerica = "field: 'country' in { texts: 'CA' texts: 'US' }";
const std::string kTv = "field: 'device' prefix { texts: 'tv' }";
const std::string kNew = "field: 'app_version' version { min: '4.2' }";
const std::string kPlan = "field: 'plan' number { min: 3 max: 7 excludes_max: true }";
const std::string kKids = "field: 'segments' in { texts: 'kids' }";

ContextSpace SpaceOf(const std::vector<std::string>& tests) {
  ContextSpace space;
  for (const std::string& test : tests) space.AddTest(FieldTestOf(test));
  space.Finish();
  return space;
}

ContextClass Where(const ContextSpace& space, ContextClass contexts, const std::string& test, bool holds) {
  Split split;
  if (!space.Ask(contexts, FieldTestOf(test), split).has_value()) return PartOf(contexts, split, holds);
  return contexts;
}

TEST(ContextSpace, WhatIsImpossibleTogetherIsAnsweredWithoutASplit) {
  const std::string us = "field: 'country' in { texts: 'US' }";
  const std::string fr = "field: 'country' in { texts: 'FR' }";
  const ContextSpace space = SpaceOf({kAmerica, us, fr});
  Split split;
  const ContextClass in_us = Where(space, space.Everything(), us, true);
  EXPECT_EQ(space.Ask(in_us, FieldTestOf(kAmerica), split), true);
  EXPECT_EQ(space.Ask(in_us, FieldTestOf(fr), split), false);
  EXPECT_EQ(space.Ask(space.Everything(), FieldTestOf(fr), split), std::nullopt);
}

TEST(ContextSpace, IsDescribedInFewWords) {
  const ContextSpace space = SpaceOf({kAmerica, kTv, kNew, kPlan, kKids});
  const ContextClass all = space.Everything();
  EXPECT_EQ(DescribeClass(space, all), "");
  EXPECT_EQ(DescribeClass(space, Where(space, all, kAmerica, true)), "country in {CA, US}");
  EXPECT_EQ(DescribeClass(space, Where(space, all, kAmerica, false)), "country not in {CA, US}");
  EXPECT_EQ(DescribeClass(space, Where(space, Where(space, all, kAmerica, true), kTv, false)),
            "country in {CA, US} and device does not begin with tv");
  EXPECT_EQ(DescribeClass(space, Where(space, all, kNew, true)), "app_version >= 4.2");
  EXPECT_EQ(DescribeClass(space, Where(space, all, kPlan, true)), "plan >= 3 and plan < 7");
  EXPECT_EQ(DescribeClass(space, Where(space, all, kPlan, false)), "not (plan >= 3 and plan < 7)");
  EXPECT_EQ(DescribeClass(space, Where(space, all, kKids, true)), "segments has kids");
  EXPECT_EQ(DescribeClass(space, Where(space, all, kKids, false)), "segments has no kids");
}

TEST(ContextSpace, WhatLiesBetweenTwoEndsIsARange) {
  const std::string newer = "field: 'app_version' version { min: '4.3' }";
  const ContextSpace space = SpaceOf({kNew, newer});
  const ContextClass between = Where(space, Where(space, space.Everything(), kNew, true), newer, false);
  EXPECT_EQ(DescribeClass(space, between), "app_version >= 4.2 and app_version < 4.3");
}

TEST(ContextSpace, OfAUnitOnlyWhatIsSpecialIsSaid) {
  ContextSpace space;
  const std::vector<std::string> unit = {"account"};
  space.AddUnit(unit);
  space.AddTest(FieldTestOf("field: 'account' in { texts: 'a1' }"));
  space.Finish();
  Split split;
  ASSERT_EQ(space.AskPresent(space.Everything(), "account", split), std::nullopt);
  const ContextClass with = PartOf(space.Everything(), split, true);
  EXPECT_EQ(DescribeClass(space, PartOf(space.Everything(), split, false)), "no account");
  EXPECT_EQ(DescribeClass(space, with), "account is given");
  const std::string tester = "field: 'account' in { texts: 'a1' }";
  EXPECT_EQ(DescribeClass(space, Where(space, with, tester, true)), "account is a1");
  EXPECT_EQ(DescribeClass(space, Where(space, with, tester, false)), "");
}

TEST(ContextSpace, ClassesOfOneGroupAreUnited) {
  const ContextSpace space = SpaceOf({kAmerica, kTv});
  const ContextClass all = space.Everything();
  std::vector<ContextClass> classes;
  for (const bool america : {true, false}) {
    for (const bool tv : {true, false}) classes.push_back(Where(space, Where(space, all, kAmerica, america), kTv, tv));
  }
  EXPECT_EQ(Unite(classes, {0, 0, 1, 0}).size(), 3u);

  classes.clear();
  for (const bool america : {true, false}) {
    for (const bool tv : {true, false}) classes.push_back(Where(space, Where(space, all, kAmerica, america), kTv, tv));
  }
  EXPECT_THAT(Unite(classes, {7, 7, 7, 7}), testing::ElementsAre(7));
  EXPECT_EQ(classes[0], all);
}

}  // namespace
}  // namespace signalbox::effect
