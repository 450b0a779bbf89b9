// Whether two models answered one request alike: Open Inference responses, as shadows of rules declare it.
//
// Pure: bytes in, a verdict out. The bytes come from hosts and can be anything; work and memory are bounded by their
// number.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "signalbox/v1/rules.pb.h"

namespace signalbox::compare {

// Of either answer. Longer ones are not compared: one that is made to be expensive takes about 60 times its size.
inline constexpr size_t kResponseBytesMax = 1 << 20;
// Output tensors of either answer.
inline constexpr int kOutputsMax = 1024;

enum class Verdict { kAgree, kDisagree, kNotComparable };

struct Result {
  Verdict verdict = Verdict::kNotComparable;
  // Why it is not kAgree: the first difference, with tensor, element and both values, or what cannot be compared. At
  // most a few hundred bytes.
  std::string reason;
};

// `live` and `shadow` are serialised inference.ModelInferResponses; `by` has a kind. What is compared are the output
// tensors, matched by name in any order, and their elements, raw or typed alike. Names of models, ids and parameters
// are not: they differ where the models do.
//
// `exact` and `numeric`: the tensors have the same names, datatypes and shapes, and
//   exact    the same elements, byte by byte (so -0 differs from 0, and one NaN from another);
//   numeric  elements with |live - shadow| <= absolute + relative * |live|. A NaN agrees with NaN alone, an infinity
//            with itself alone. BOOL and BYTES have no distance, and must be the same.
// `rank`: Spearman's correlation of the elements of the live answer's first tensor with those of the shadow's tensor of
//   that name is at least `min`. Ties have the mean of their ranks. Datatypes and shapes may differ, the number of
//   elements may not. Where all live elements are equal the live answer prefers nothing: the correlation is 1 when all
//   of the shadow's are equal too, and 0 when they are not, or the other way round. A NaN has no rank: in the shadow
//   alone it is a difference.
//
// kNotComparable: `live` or `shadow` is not a valid response, or exceeds a limit above; neither has an output; `rank`
// with fewer than two elements, with BOOL or BYTES, or with NaN in the live answer.
Result Compare(const v1::Comparison& by, std::string_view live, std::string_view shadow);

// What the response says, for people: `scores FP32 [1,3]: 0.5 0.25 1; ...`, in at most `bytes_max` bytes (which is at
// least 3: what is longer ends with "...") of valid UTF-8.
std::string Describe(std::string_view response, size_t bytes_max);

}  // namespace signalbox::compare
