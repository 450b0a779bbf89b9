#include "host/title_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace signalbox::host {
namespace {

using testing::ElementsAre;

v1::Film Film(const char* genre, const char* rating) {
  v1::Film film;
  film.set_genre(genre);
  film.set_audience_rating(rating);
  return film;
}

const v1::Film kAction = Film("Action", "R"), kAction2 = Film("Action", "PG"), kDrama = Film("Drama", "PG-13"),
               kFamily = Film("Adventure", "G");

TEST(TitleOrder, ByScoreWithTiesAndUnknownTitlesAsTheyWereAsked) {
  const std::vector<Candidate> candidates = {{nullptr, 9}, {&kAction, 1}, {&kDrama, 2}, {nullptr, 8}, {&kFamily, 1}};
  EXPECT_THAT(Order(candidates, {}), ElementsAre(2, 1, 4, 0, 3));
}

TEST(TitleOrder, KidsSeeWhatIsForThemFirst) {
  const std::vector<Candidate> candidates = {{&kAction, 4}, {&kDrama, 3}, {&kAction2, 2}, {&kFamily, 1}, {nullptr, 9}};
  EXPECT_THAT(Order(candidates, {.kids = true}), ElementsAre(2, 3, 0, 1, 4));
}

TEST(TitleOrder, DiversityBringsANewGenreForward) {
  const std::vector<Candidate> candidates = {{&kAction, 4}, {&kAction2, 3}, {&kDrama, 2}, {&kFamily, 1}};
  EXPECT_THAT(Order(candidates, {.genre_diversity = 0}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Order(candidates, {.genre_diversity = 0.6}), ElementsAre(0, 2, 3, 1));
}

TEST(TitleOrder, AnyPolicyGivesAPermutation) {
  std::vector<Candidate> candidates;
  const v1::Film* films[] = {&kAction, &kAction2, &kDrama, nullptr, &kFamily};
  for (size_t i = 0; i < 250; ++i) candidates.push_back({films[i * 7 % 5], static_cast<float>(i * 31 % 17)});
  for (double diversity : {0.0, 0.3, 1.0}) {
    for (bool kids : {false, true}) {
      std::vector<size_t> order = Order(candidates, {.genre_diversity = diversity, .kids = kids});
      std::sort(order.begin(), order.end());
      ASSERT_EQ(order.size(), candidates.size());
      for (size_t i = 0; i < order.size(); ++i)
        ASSERT_EQ(order[i], i) << "diversity " << diversity << ", kids " << kids;
    }
  }
}

TEST(TitleOrder, PolicyComesFromParametersAndContext) {
  inference::ModelInferRequest request;
  auto policy = ReadOrderPolicy(request, {.context = "country=US, surface=\"kids\", device=tv"});
  ASSERT_TRUE(policy.ok());
  EXPECT_TRUE(policy->kids);
  EXPECT_EQ(policy->genre_diversity, 0);

  (*request.mutable_parameters())["genre_diversity"].set_string_param("0.4");
  policy = ReadOrderPolicy(request, {.context = "surface=home"});
  ASSERT_TRUE(policy.ok());
  EXPECT_FALSE(policy->kids);
  EXPECT_EQ(policy->genre_diversity, 0.4);

  for (const char* wrong : {"1.5", "-1", "much", "nan", "0.4x"}) {
    (*request.mutable_parameters())["genre_diversity"].set_string_param(wrong);
    absl::Status status = ReadOrderPolicy(request, {}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << wrong;
    EXPECT_THAT(std::string(Message(status)), testing::HasSubstr("expected a number from 0 to 1"));
  }
}

TEST(RequestParameters, NumbersAreTakenInEveryForm) {
  inference::ModelInferRequest request;
  auto& parameters = *request.mutable_parameters();
  parameters["a"].set_double_param(0.25);
  parameters["b"].set_int64_param(1);
  parameters["c"].set_uint64_param(1);
  parameters["d"].set_string_param("");
  parameters["e"].set_bool_param(true);
  parameters["f"];
  EXPECT_EQ(*NumberParameter(request, "a", 0, 1), 0.25);
  EXPECT_EQ(*NumberParameter(request, "b", 0, 1), 1);
  EXPECT_EQ(*NumberParameter(request, "c", 0, 1), 1);
  EXPECT_EQ(*NumberParameter(request, "d", 0, 1), std::nullopt);
  EXPECT_TRUE(absl::IsInvalidArgument(NumberParameter(request, "e", 0, 1).status()));
  EXPECT_EQ(*NumberParameter(request, "f", 0, 1), std::nullopt);
  EXPECT_EQ(*NumberParameter(request, "absent", 0, 1), std::nullopt);
}

TEST(RequestParameters, ContextValuesAreReadFromTheDictionary) {
  const struct {
    const char* dictionary;
    const char* key;
    std::optional<std::string> value;
  } cases[] = {{"country=US, device=tv", "device", "tv"},
               {"country=US,device=tv;q=1", "device", "tv"},
               {R"(note="a, surface=kids", surface=home)", "surface", "home"},
               {R"(note="say \"kids\"")", "note", "say \"kids\""},
               {"surface", "surface", std::nullopt},
               {"xsurface=kids", "surface", std::nullopt},
               {"", "surface", std::nullopt},
               {",,,=,\"", "surface", std::nullopt},
               {"surface=\"kids", "surface", "kids"}};
  for (const auto& c : cases) EXPECT_EQ(ContextValue(c.dictionary, c.key), c.value) << c.dictionary;
}

}  // namespace
}  // namespace signalbox::host
