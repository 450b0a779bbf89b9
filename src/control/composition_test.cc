#include "control/composition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <random>

#include "base/status.h"
#include "base/test_folder.h"

namespace signalbox::control {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Rules(const std::string& name, const std::string& objective, const std::string& model = "ranker") {
  return R"({"namespace":")" + name + R"(","objectives":[{"default_model":{"name":")" + model + R"("},"name":")" +
         objective + R"("}]})";
}

// With a traffic shift.
std::string CanaryRules(const std::string& name, const std::string& objective, const std::string& shift) {
  return R"({"namespace":")" + name + R"(","objectives":[{"default_model":{"name":"ranker"},"name":")" + objective +
         R"("}],"traffic_shifts":[{"id":")" + shift + R"(","objectives":[")" + objective +
         R"("],"seed":"s","share_ppm":1000,"to":{"name":"next"}}]})";
}

std::string Settings(const std::string& name, const std::string& shift, int share_ppm) {
  return R"({"namespace":")" + name + R"(","shifts":[{"share_ppm":)" + std::to_string(share_ppm) + R"(,"shift":")" +
         shift + R"("}]})";
}

constexpr char kPlacement[] = R"({"models":{"ranker":{"shards":["s1"]}},"shards":{"s1":{"hosts":["127.0.0.1:9000"]}}})";

class CompositionTest : public testing::Test {
 protected:
  CompositionTest() { EXPECT_TRUE(store_.ok()) << store_.status(); }

  store::Store& store() { return **store_; }
  void Publish(const std::string& topic, const std::string& content) {
    absl::StatusOr<store::Published> published = store().Publish({topic, content, "ada", "", {}});
    ASSERT_TRUE(published.ok()) << published.status();
  }
  // What a control plane that starts now would send.
  Composition Fresh() {
    Composition composition(store());
    EXPECT_TRUE(composition.Advance().ok());
    return composition;
  }
  void Damage(const std::string& topic, int version) {
    sqlite3* connection = nullptr;
    ASSERT_EQ(sqlite3_open(folder_.File("store.db").c_str(), &connection), SQLITE_OK);
    const std::string statement =
        "DROP TRIGGER IF EXISTS versions_are_never_changed; UPDATE versions SET content = x'00' WHERE topic = '" +
        topic + "' AND version = " + std::to_string(version);
    ASSERT_EQ(sqlite3_exec(connection, statement.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(connection);
  }
  static int64_t RunningVersion(const Composition& composition, std::string_view namespace_name) {
    for (const auto& published : composition.snapshot()->proto().rule_sets()) {
      if (published.rule_set().namespace_() == namespace_name) return published.version();
    }
    return 0;
  }
  // What is set of the first shift of a namespace, as data planes get it; -1: nothing.
  static int64_t ShareSet(const Composition& composition, std::string_view namespace_name) {
    for (const auto& published : composition.snapshot()->proto().rule_sets()) {
      if (published.rule_set().namespace_() != namespace_name || published.traffic().shifts().empty()) continue;
      return published.traffic().shifts(0).share_ppm();
    }
    return -1;
  }

  TestFolder folder_;
  absl::StatusOr<std::unique_ptr<store::Store>> store_ =
      store::OpenStore("sqlite:" + folder_.File("store.db"), store::OpenMode::kCreateIfMissing);
};

TEST_F(CompositionTest, AnEmptyStoreGivesAnEmptySnapshot) {
  Composition composition = Fresh();
  EXPECT_EQ(composition.snapshot()->version(), 0);
  EXPECT_THAT(composition.snapshot()->ObjectiveNames(), IsEmpty());
}

TEST_F(CompositionTest, TheNewestOfEveryTopicIsPutTogetherUnderTheSequence) {
  Composition composition = Fresh();
  Publish("placement", kPlacement);
  Publish("rules/home", Rules("home", "Old"));
  Publish("rules/home", Rules("home", "Ranking"));
  Publish("rules/risk", Rules("risk", "Fraud"));
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(composition.snapshot()->version(), 4);
  EXPECT_EQ(RunningVersion(composition, "home"), 2);
  EXPECT_NE(composition.snapshot()->FindObjective("Fraud"), nullptr);
  EXPECT_EQ(composition.snapshot()->shards().size(), 1u);
  EXPECT_THAT(composition.held_back(), IsEmpty());
}

TEST_F(CompositionTest, ABrokenNamespaceKeepsItsLastGoodVersionAndTheOthersGoOn) {
  Publish("rules/home", Rules("home", "Ranking"));
  Publish("rules/risk", Rules("risk", "Fraud"));
  Composition composition = Fresh();
  for (const std::string& broken : {std::string("not json"), Rules("other", "X"), Rules("home", "two words"),
                                    std::string(R"({"namespace":"home","unknown_field":1})")}) {
    Publish("rules/home", broken);
    Publish("rules/risk", Rules("risk", "Fraud", broken.size() % 2 == 0 ? "even" : "odd"));
    ASSERT_TRUE(composition.Advance().ok());
    EXPECT_EQ(composition.snapshot()->version(), store().Latest()->sequence);
    EXPECT_EQ(RunningVersion(composition, "home"), 1) << broken;
    EXPECT_EQ(RunningVersion(composition, "risk"), store().Get("rules/risk", std::nullopt)->info.version);
    ASSERT_EQ(composition.held_back().size(), 1u);
    EXPECT_EQ(composition.held_back()[0].topic, "rules/home");
    EXPECT_EQ(composition.held_back()[0].running_version, 1);
    EXPECT_THAT(composition.held_back()[0].reason, testing::Not(IsEmpty()));
  }
  Publish("rules/home", Rules("home", "Ranking", "repaired"));
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_THAT(composition.held_back(), IsEmpty());
}

TEST_F(CompositionTest, WhatStoodInTheWayOfAnotherNamespaceIsTriedAgainWhenItIsGone) {
  Publish("rules/home", Rules("home", "Ranking"));
  Publish("rules/risk", Rules("risk", "Ranking"));  // belongs to home
  Publish("rules/z", "not json");
  Composition composition = Fresh();
  EXPECT_EQ(RunningVersion(composition, "risk"), 0);
  EXPECT_EQ(composition.held_back().size(), 2u);
  Publish("rules/home", Rules("home", "Other"));
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(RunningVersion(composition, "risk"), 1);
  ASSERT_EQ(composition.held_back().size(), 1u);
  EXPECT_EQ(composition.held_back()[0].topic, "rules/z");
}

TEST_F(CompositionTest, ABrokenPlacementIsHeldBackLikeRules) {
  Publish("placement", kPlacement);
  Publish("rules/home", Rules("home", "Ranking"));
  Publish("placement", R"({"models":{"ranker":{"shards":["nowhere"]}}})");
  Composition composition = Fresh();
  EXPECT_EQ(composition.snapshot()->shards().size(), 1u);
  ASSERT_EQ(composition.held_back().size(), 1u);
  EXPECT_EQ(composition.held_back()[0].topic, "placement");
  EXPECT_THAT(composition.held_back()[0].reason, HasSubstr("nowhere"));
}

TEST_F(CompositionTest, ADamagedVersionIsHeldBack) {
  Publish("rules/home", Rules("home", "Ranking"));
  Publish("rules/risk", Rules("risk", "Fraud"));
  Publish("rules/home", Rules("home", "Ranking", "new"));
  Damage("rules/home", 2);
  Composition composition = Fresh();
  EXPECT_EQ(RunningVersion(composition, "home"), 1);
  EXPECT_EQ(RunningVersion(composition, "risk"), 1);
  EXPECT_THAT(composition.held_back().at(0).reason, HasSubstr("damaged"));
}

TEST_F(CompositionTest, AFaultIsHeldBackAloneHoweverMuchTheOthersHavePublishedSince) {
  Publish("rules/damaged", Rules("damaged", "Ranking"));
  Publish("rules/damaged", Rules("damaged", "Ranking", "new"));
  Publish("rules/foreign", Rules("foreign", "Feed"));
  Publish("rules/foreign", Rules("foreign", "two words"));  // readable, but does not compile
  for (int i = 0; i < 250; ++i) Publish("rules/busy", Rules("busy", "Fraud", "model" + std::to_string(i)));
  Damage("rules/damaged", 2);
  Composition composition = Fresh();
  EXPECT_EQ(RunningVersion(composition, "damaged"), 1);
  EXPECT_EQ(RunningVersion(composition, "foreign"), 1);
  EXPECT_EQ(RunningVersion(composition, "busy"), 250);
  ASSERT_EQ(composition.held_back().size(), 2u);
  EXPECT_EQ(composition.held_back()[0].running_version, 1);
  EXPECT_THAT(composition.held_back()[0].reason, HasSubstr("version 2 is damaged"));
  EXPECT_THAT(composition.held_back()[1].reason, HasSubstr("two words"));
}

TEST_F(CompositionTest, WhatIsSetOfATrafficShiftGoesWithTheRulesOfItsNamespaceAndChangesTheHash) {
  Publish("rules/home", CanaryRules("home", "Ranking", "canary"));
  Publish("rules/risk", CanaryRules("risk", "Fraud", "canary"));
  Composition composition = Fresh();
  const std::string hash = composition.snapshot()->hash();
  EXPECT_EQ(ShareSet(composition, "home"), -1);
  Publish("traffic/home", Settings("home", "canary", 5));
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(ShareSet(composition, "home"), 5);
  EXPECT_EQ(ShareSet(composition, "risk"), -1);
  EXPECT_NE(composition.snapshot()->hash(), hash);
  EXPECT_EQ(composition.snapshot()->proto().rule_sets(0).traffic().version(), 1);
  Publish("traffic/home", R"({"namespace":"home"})");
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(composition.snapshot()->hash(), hash) << "nothing set is as if nothing had ever been set";
}

TEST_F(CompositionTest, ASettingOfAShiftThatTheRulesDoNotHaveIsLeftOutWithAWarningUntilTheyDo) {
  Publish("traffic/home", Settings("home", "canary", 5));
  Publish("rules/home", Rules("home", "Ranking"));
  Composition composition = Fresh();
  const std::string hash = composition.snapshot()->hash();
  EXPECT_EQ(ShareSet(composition, "home"), -1);
  EXPECT_THAT(composition.held_back(), IsEmpty());
  ASSERT_EQ(composition.warnings().size(), 1U);
  EXPECT_THAT(composition.warnings()[0], HasSubstr("traffic/home version 1: what is set of traffic shift canary"));
  Publish("rules/home", CanaryRules("home", "Ranking", "canary"));
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(ShareSet(composition, "home"), 5);
  EXPECT_THAT(composition.warnings(), IsEmpty());
  Publish("rules/home", Rules("home", "Ranking"));
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(composition.snapshot()->hash(), hash);
}

TEST_F(CompositionTest, BrokenOrDamagedSettingsAreHeldBackAndTheLastGoodOnesGoOn) {
  Publish("rules/home", CanaryRules("home", "Ranking", "canary"));
  Publish("traffic/home", Settings("home", "canary", 5));
  const std::pair<std::string, const char*> broken[] = {{"not json", "traffic/home version"},
                                                        {R"({"namespace":"home","later":1})", "later"},
                                                        {Settings("risk", "canary", 6), "namespace 'risk'"},
                                                        {Settings("home", "canary", 1'000'001), "parts per million"},
                                                        {Rules("home", "Ranking"), "objectives"}};
  for (const auto& [content, reason] : broken) {
    Publish("traffic/home", content);
    Composition composition = Fresh();
    EXPECT_EQ(ShareSet(composition, "home"), 5) << content;
    ASSERT_EQ(composition.held_back().size(), 1U) << content;
    EXPECT_EQ(composition.held_back()[0].topic, "traffic/home");
    EXPECT_EQ(composition.held_back()[0].running_version, 1);
    EXPECT_THAT(composition.held_back()[0].reason, HasSubstr(reason));
  }
  Publish("traffic/home", Settings("home", "canary", 7));
  EXPECT_EQ(ShareSet(Fresh(), "home"), 7);
  Damage("traffic/home", 7);
  EXPECT_EQ(ShareSet(Fresh(), "home"), 5);
  Publish("rules/home", CanaryRules("home", "Other", "canary"));
  EXPECT_EQ(RunningVersion(Fresh(), "home"), 2) << "the rules of the namespace go on being published";
}

// An older version comes back because of damage, and declares what another namespace has taken over since.
TEST_F(CompositionTest, AnOlderVersionThatComesBackTakesNothingFromOthers) {
  Publish("rules/home", Rules("home", "Ranking"));
  Publish("rules/home", Rules("home", "Other"));
  Publish("rules/risk", Rules("risk", "Ranking"));
  Damage("rules/home", 2);
  Composition composition = Fresh();
  EXPECT_EQ(RunningVersion(composition, "risk"), 1);
  EXPECT_EQ(RunningVersion(composition, "home"), 0);
}

// Publishes at random what is good, broken, or in conflict with others; whoever follows along, at whatever steps, and
// whoever starts afterwards, must run the same.
TEST_F(CompositionTest, WhatRunsDependsOnTheStoreAloneAndNotOnWhoWasThere) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  auto pick = [&](int count) { return std::uniform_int_distribution<int>(0, count - 1)(random); };
  Composition always(store());
  Composition sometimes(store());
  const std::vector<std::string> names = {"a", "b", "c"};
  for (int step = 0; step < 120; ++step) {
    const std::string& name = names[static_cast<size_t>(pick(3))];
    const std::string objective = "Objective" + std::to_string(pick(4));
    const int kind = pick(10);
    std::string content = Rules(name, objective, "model" + std::to_string(step));
    if (kind == 0) content = "not json " + std::to_string(step);
    if (kind == 1) {
      content = R"({"models":{"m)" + std::to_string(step) + R"(":{"shards":[")" + (pick(2) == 0 ? "s1" : "s2") +
                R"("]}},"shards":{"s1":{"hosts":["h:1"]}}})";
    }
    if (kind >= 7) content = CanaryRules(name, objective, pick(2) == 0 ? "canary" : "other");
    if (kind == 2) content = Settings(name, pick(2) == 0 ? "canary" : "other", step);
    if (kind == 3) content = Settings(name, "two words", step);
    Publish(kind == 1 ? "placement" : (kind == 2 || kind == 3 ? "traffic/" : "rules/") + name, content);
    ASSERT_TRUE(always.Advance().ok());
    if (pick(4) == 0) {
      ASSERT_TRUE(sometimes.Advance().ok());
    }
    Composition fresh = Fresh();
    ASSERT_EQ(always.snapshot()->hash(), fresh.snapshot()->hash()) << "step " << step;
    ASSERT_EQ(always.snapshot()->version(), fresh.snapshot()->version());
    ASSERT_EQ(always.held_back().size(), fresh.held_back().size());
    ASSERT_EQ(always.warnings(), fresh.warnings());
  }
  ASSERT_TRUE(sometimes.Advance().ok());
  EXPECT_EQ(always.snapshot()->hash(), sometimes.snapshot()->hash());
}

TEST_F(CompositionTest, TryingSaysWhatIsWrongAndChangesNothing) {
  Publish("rules/home", Rules("home", "Ranking"));
  Composition composition = Fresh();
  const std::string hash = composition.snapshot()->hash();
  absl::Status taken = composition.Try("rules/risk", Rules("risk", "Ranking")).status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Message(taken)), HasSubstr("Ranking is declared already"));
  auto snapshot = composition.Try("rules/risk", Rules("risk", "Fraud"));
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_NE((*snapshot)->FindObjective("Ranking"), nullptr);
  EXPECT_EQ(composition.snapshot()->hash(), hash);
}

TEST_F(CompositionTest, AnotherNamespacesTroubleDoesNotKeepAnybodyFromPublishing) {
  Publish("rules/home", "not json");
  Composition composition = Fresh();
  EXPECT_TRUE(composition.Try("rules/risk", Rules("risk", "Fraud")).ok());
}

}  // namespace
}  // namespace signalbox::control
