// What must never change: buckets, routing keys, hashes and decisions, and the bytes that carry them.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/hash.h"
#include "decide/bucket.h"
#include "decide/decide.h"
#include "decide/enrichment.h"
#include "decide/routing_key.h"
#include "decide/test_random_vocabulary.h"
#include "decide/test_snapshot.h"

namespace signalbox::decide {
namespace {

using Json = nlohmann::ordered_json;

// Short, long, with every block length of XXH3, and not ASCII.
std::vector<std::string> Units() {
  std::vector<std::string> units = {"a", "42", "user-1", "user-000000000001", "jos\u00e9", "\u7528\u6237-7"};
  for (size_t length : {16, 17, 128, 129, 240, 241, 1024}) units.emplace_back(length, 'x');
  return units;
}

Json Buckets() {
  Json buckets = Json::array();
  const std::pair<Purpose, const char*> purposes[] = {
      {Purpose::kCell, "cell"}, {Purpose::kAllocation, "allocation"}, {Purpose::kShift, "shift"}};
  for (const auto& [purpose, name] : purposes) {
    for (const char* seed : {"", "12345", "ranker-canary", "graine-\u00e9"}) {
      Json row = {{"purpose", name}, {"seed", seed}};
      for (const std::string& unit : Units()) row["units"].push_back({unit, Bucket(BucketSeed(purpose, seed), unit)});
      buckets.push_back(row);
    }
  }
  return buckets;
}

// Of what came later, beside the others so that these stay as they are.
Json LaterBuckets() {
  Json buckets = Json::array();
  const std::pair<Purpose, const char*> purposes[] = {
      {Purpose::kLayer, "layer"}, {Purpose::kHoldout, "holdout"}, {Purpose::kShadow, "shadow"}};
  for (const auto& [purpose, name] : purposes) {
    Json row = {{"purpose", name}, {"seed", "12345"}};
    for (const std::string& unit : Units()) row["units"].push_back({unit, Bucket(BucketSeed(purpose, "12345"), unit)});
    buckets.push_back(row);
  }
  for (const HashVersion version : {HashVersion::kGrowthBook1, HashVersion::kGrowthBook2}) {
    const std::string seed = "graine-\u00e9";
    Json row = {{"hash_version", static_cast<int>(version)}, {"seed", seed}};
    const Draw draw = MakeDraw(Purpose::kCell, seed, 0, version);
    for (const std::string& unit : Units()) row["units"].push_back({unit, Bucket(draw, unit)});
    buckets.push_back(row);
  }
  return buckets;
}

// Of rule sets of every kind of rule; the seeds say which.
Json VocabularyDecisions() {
  Json decisions = Json::array();
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    RandomVocabulary random(seed);
    const v1::Snapshot proto = random.WholeSnapshot();
    const auto snapshot = CompileOrDie(proto);
    RandomContext context = random.Context(proto);
    RandomVocabulary::SetAttributes(context);
    for (const std::string_view objective : snapshot->ObjectiveNames()) {
      const Decision decision = Decide(*snapshot, context.View(objective));
      Json row = {{"seed", seed},
                  {"objective", objective},
                  {"model", decision.answer->model->id},
                  {"reason", Name(decision.answer->reason)},
                  {"notes", decision.notes},
                  {"override", decision.override_rule},
                  {"cells", Json::array()},
                  {"shadows", Json::array()},
                  {"config_sha256", Sha256Hex(SerialiseObjectiveConfig(ConfigOf(decision)))}};
      for (const Enrolment& each : decision.enrolments) row["cells"].push_back({each.experiment, each.cell});
      for (const Shadow* shadow : decision.shadows) row["shadows"].push_back(shadow->id);
      decisions.push_back(row);
    }
  }
  return decisions;
}

Json Decisions(const Snapshot& snapshot) {
  Json decisions = Json::array();
  for (std::string_view objective : snapshot.ObjectiveNames()) {
    for (int i = -1; i < 24; ++i) {
      const std::string user = i < 0 ? "" : "user-" + std::to_string(i);
      const Decision decision = Decide(snapshot, {.objective = objective, .user = user});
      Json row = {{"objective", objective},
                  {"user", user},
                  {"model", decision.answer->model->id},
                  {"reason", Name(decision.answer->reason)},
                  {"experiment", decision.main_enrolment().experiment},
                  {"cell", decision.main_enrolment().cell},
                  {"fallbacks", Json::array()}};
      for (const Answer* fallback : decision.fallbacks) row["fallbacks"].push_back(fallback->model->id);
      decisions.push_back(row);
    }
  }
  return decisions;
}

Json Answers(const Snapshot& snapshot) {
  Json answers = Json::array();
  for (const auto& answer : snapshot.answers()) {
    answers.push_back({{"index", answer->index},
                       {"model", answer->model->id},
                       {"routing_key", answer->model->routing_key},
                       {"objective_config_base64", answer->objective_config_base64},
                       {"open_inference_suffix_sha256", Sha256Hex(answer->open_inference_suffix)},
                       {"serve_suffix_sha256", Sha256Hex(answer->serve_suffix)}});
  }
  return answers;
}

TEST(Golden, BucketsKeysAndDecisionsAreThoseOfEveryReleaseBefore) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  Json golden;
  golden["about"] =
      "Pinned by golden_test.cc. Users keep their cells for as long as nothing here changes: new entries "
      "may be added, old ones never differ.";
  golden["snapshot_hash"] = snapshot->hash();
  golden["buckets"] = Buckets();
  golden["answers"] = Answers(*snapshot);
  golden["decisions"] = Decisions(*snapshot);
  golden["later_buckets"] = LaterBuckets();
  golden["vocabulary_decisions"] = VocabularyDecisions();
  const std::string actual = golden.dump(1) + "\n";

  const auto expected = ReadFile(SIGNALBOX_SOURCE_DIR "/src/decide/testdata/decide_golden.json", 1 << 20);
  if (expected.ok() && *expected == actual) return;
  const std::string path = ::testing::TempDir() + "/decide_golden.json";
  std::ofstream(path) << actual;
  FAIL() << "differs from src/decide/testdata/decide_golden.json; what came out is in " << path;
}

}  // namespace
}  // namespace signalbox::decide
