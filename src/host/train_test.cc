#include "host/train.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/file.h"
#include "host/repository.h"
#include "host/test_repository.h"

namespace signalbox::host {
namespace {

using testing::HasSubstr;

// Every file below `folder`, by its path in it.
std::map<std::string, std::string> Files(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files[std::filesystem::relative(entry.path(), folder).string()] = *ReadFile(entry.path().string(), 64 << 20);
  }
  return files;
}

TEST(Train, VersionsOfTheTitleRankerGetVisiblyBetter) {
  const TestRepository* repository = TestRepository::Get();
  ASSERT_NE(repository, nullptr);
  const auto& versions = repository->rankers();
  ASSERT_EQ(versions.size(), 3U);
  for (size_t i = 1; i < versions.size(); ++i) {
    EXPECT_EQ(versions[i].version, static_cast<int>(i) + 1);
    EXPECT_GT(versions[i].held_out_metrics.at("ndcg@10"), versions[i - 1].held_out_metrics.at("ndcg@10") + 0.03);
    EXPECT_GT(versions[i].held_out_metrics.at("spearman"), versions[i - 1].held_out_metrics.at("spearman") + 0.1);
  }
}

TEST(Train, VersionsOfTheArrivalDelayScorerGetVisiblyBetter) {
  const TestRepository* repository = TestRepository::Get();
  ASSERT_NE(repository, nullptr);
  const auto& versions = repository->scorers();
  ASSERT_EQ(versions.size(), 2U);
  EXPECT_GT(versions[0].held_out_metrics.at("auc"), 0.5);
  EXPECT_GT(versions[1].held_out_metrics.at("auc"), versions[0].held_out_metrics.at("auc") + 0.05);
  EXPECT_LT(versions[1].held_out_metrics.at("log_loss"), versions[0].held_out_metrics.at("log_loss"));
}

TEST(Train, TheSameSeedGivesTheSameBytes) {
  const TestRepository* repository = TestRepository::Get();
  ASSERT_NE(repository, nullptr);
  TestFolder again;
  ASSERT_TRUE(TrainTitleRanker(repository->films(), again.path(), TestRepository::kSeed).ok());
  ASSERT_TRUE(TrainArrivalDelay(repository->flights(), again.path(), TestRepository::kSeed).ok());

  const auto first = Files(repository->path()), second = Files(again.path());
  ASSERT_EQ(first.size(), second.size());
  for (const auto& [name, content] : first) EXPECT_TRUE(second.at(name) == content) << name << " differs";
}

TEST(Train, AnotherSeedGivesAnotherModelOfTheSameKind) {
  const TestRepository* repository = TestRepository::Get();
  ASSERT_NE(repository, nullptr);
  TestFolder other;
  auto versions = TrainArrivalDelay(repository->flights(), other.path(), 2);
  ASSERT_TRUE(versions.ok()) << versions.status();
  EXPECT_NE(Files(repository->path()).at("arrival-delay/2/model.ubj"),
            Files(other.path()).at("arrival-delay/2/model.ubj"));
  EXPECT_NEAR(versions->at(1).held_out_metrics.at("auc"), repository->scorers()[1].held_out_metrics.at("auc"), 0.02);
}

TEST(Train, ReplacesAVersionThatIsThere) {
  const TestRepository* repository = TestRepository::Get();
  ASSERT_NE(repository, nullptr);
  TestFolder folder;
  repository->Copy(folder.File("models"));
  const std::string stale = folder.File("models") + "/arrival-delay/1/left-over.txt";
  ASSERT_TRUE(WriteFileAtomically(stale, "from an older release").ok());
  ASSERT_TRUE(TrainArrivalDelay(repository->flights(), folder.File("models"), 1).ok());
  EXPECT_FALSE(std::filesystem::exists(stale));
  EXPECT_EQ(Files(folder.File("models")), Files(repository->path()));
}

TEST(Train, TooLittleDataIsRefused) {
  TestFolder folder;
  Films films;
  films.films.resize(3);
  auto rankers = TrainTitleRanker(films, folder.path(), 1);
  EXPECT_TRUE(absl::IsInvalidArgument(rankers.status()));
  EXPECT_THAT(std::string(Message(rankers.status())), HasSubstr("training needs at least 100"));
  auto scorers = TrainArrivalDelay(Flights{}, folder.path(), 1);
  EXPECT_TRUE(absl::IsInvalidArgument(scorers.status()));
  EXPECT_THAT(std::string(Message(scorers.status())), HasSubstr("training needs at least 500"));
}

TEST(Train, SaysHowToGetTheData) {
  TestFolder folder;
  for (const absl::Status& status : {LoadFilms(folder.path()).status(), LoadFlights(folder.path()).status()}) {
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("npm ci"));
  }
}

TEST(Films, DirtyRowsAreRepairedOrDropped) {
  TestFolder folder;
  ASSERT_TRUE(WriteFileAtomically(folder.File("movies.json"), R"([
    {"Title": null, "US Gross": 1},
    {"Title": 300, "Release Date": "Mar 09 2007", "IMDB Rating": 7.8},
    {"Title": "The Fly", "Release Date": "Aug 15 1986", "IMDB Votes": 100},
    {"Title": "The Fly", "Release Date": "Jul 16 2058", "IMDB Votes": 10, "Production Budget": 0},
    {"Title": "The Fly", "IMDB Votes": 1},
    {"Title": "Jaws", "Release Date": "TBD", "IMDB Rating": "good", "Running Time min": "long"}
  ])")
                  .ok());
  auto films = LoadFilms(folder.path());
  ASSERT_TRUE(films.ok()) << films.status();
  std::vector<std::string> titles;
  for (const LabelledFilm& film : films->films) titles.push_back(film.film.title());
  EXPECT_THAT(titles, testing::ElementsAre("300", "The Fly", "The Fly (1958)", "Jaws"));
  EXPECT_FLOAT_EQ(films->films[0].imdb_rating.value(), 7.8f);
  EXPECT_FALSE(films->films[2].film.has_production_budget_usd());
  EXPECT_FALSE(films->films[3].imdb_rating.has_value());
  EXPECT_FALSE(films->films[3].film.has_year());
  EXPECT_EQ(films->repairs.size(), 6U);
}

TEST(Films, WhatIsNotAListOfFilmsIsRefused) {
  TestFolder folder;
  for (const char* content : {"", "{}", "[1, 2", "[]", "[{\"Title\": null}]"}) {
    ASSERT_TRUE(WriteFileAtomically(folder.File("movies.json"), content).ok());
    EXPECT_TRUE(absl::IsInvalidArgument(LoadFilms(folder.path()).status())) << content;
    ASSERT_TRUE(WriteFileAtomically(folder.File("flights-20k.json"), content).ok());
    EXPECT_TRUE(absl::IsInvalidArgument(LoadFlights(folder.path()).status())) << content;
  }
}

TEST(Flights, UnreadableRowsAreCountedAndTheRestIsSorted) {
  TestFolder folder;
  ASSERT_TRUE(WriteFileAtomically(folder.File("flights-20k.json"), R"([
    {"date": "2001/03/01 10:00", "delay": 5, "distance": 100, "origin": "JFK", "destination": "BOS"},
    {"date": "2001/01/01 10:00", "delay": -5, "distance": 100, "origin": "BOS", "destination": "JFK"},
    {"date": "2001/02/30 10:00", "delay": 5, "distance": 100, "origin": "JFK", "destination": "BOS"},
    {"date": "2001/02/03 10:00", "delay": 5, "distance": -1, "origin": "JFK", "destination": "BOS"},
    {"date": "2001/02/03 10:00", "delay": 99999, "distance": 1, "origin": "JFK", "destination": "BOS"},
    {"date": "2001/02/03 10:00", "distance": 1, "origin": "JFK", "destination": "BOS"}
  ])")
                  .ok());
  auto flights = LoadFlights(folder.path());
  ASSERT_TRUE(flights.ok()) << flights.status();
  ASSERT_EQ(flights->flights.size(), 2U);
  EXPECT_EQ(flights->flights[0].origin, "BOS");
  EXPECT_EQ(flights->dropped, 4);
}

TEST(Departure, ReadsBothSpellingsAndNothingElse) {
  for (const char* text : {"2001/01/31 17:05", "2001-01-31T17:05", "2001-01-31 17:05:59", "2001-01-31T17:05:59.250"}) {
    auto departure = ParseDeparture(text);
    ASSERT_TRUE(departure.has_value()) << text;
    EXPECT_EQ(departure->minute_of_day, 17 * 60 + 5) << text;
    EXPECT_EQ(departure->weekday(), 2) << text << " was a Wednesday";
  }
  for (const char* text : {"", "2001-01-31", "2001-02-29T10:00", "2001-13-01T10:00", "2001-01-31T24:00",
                           "2001-01-31T10:60", "2001-01-31T10:00Z", "2001-01-31T10:00+01:00", "1969-12-31T10:00",
                           "2001/01-31 10:00", "20010131T10:00xx", "2001-01-31T10:00:5", "2001-01-31T1\xff:00"}) {
    EXPECT_FALSE(ParseDeparture(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace signalbox::host
