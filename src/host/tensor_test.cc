#include "host/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>

#include "base/status.h"

namespace signalbox::host {
namespace {

using inference::ModelInferRequest;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr TensorSpec kSpecs[] = {{.name = "title", .datatype = "BYTES"},
                                 {.name = "weight", .datatype = "FP32", .optional = true}};

ModelInferRequest::InferInputTensor* AddInput(ModelInferRequest& request, const char* name, const char* datatype,
                                              int64_t rows) {
  auto* input = request.add_inputs();
  input->set_name(name);
  input->set_datatype(datatype);
  input->add_shape(rows);
  return input;
}

ModelInferRequest Typed() {
  ModelInferRequest request;
  auto* title = AddInput(request, "title", "BYTES", 2)->mutable_contents();
  title->add_bytes_contents("Jaws");
  title->add_bytes_contents("");
  auto* weight = AddInput(request, "weight", "FP32", 2)->mutable_contents();
  weight->add_fp32_contents(1.5f);
  weight->add_fp32_contents(-2);
  return request;
}

ModelInferRequest Raw() {
  ModelInferRequest request;
  AddInput(request, "title", "BYTES", 2);
  AddInput(request, "weight", "FP32", 2);
  request.add_raw_input_contents(std::string("\4\0\0\0Jaws\0\0\0\0", 12));
  const float weights[] = {1.5f, -2};
  request.add_raw_input_contents(weights, sizeof(weights));
  return request;
}

TEST(Inputs, TypedAndRawContentsReadTheSame) {
  for (const ModelInferRequest& request : {Typed(), Raw()}) {
    auto inputs = Inputs::Read(request, kSpecs);
    ASSERT_TRUE(inputs.ok()) << inputs.status();
    EXPECT_EQ(inputs->rows(), 2U);
    EXPECT_THAT(inputs->Bytes(0), ElementsAre("Jaws", ""));
    EXPECT_THAT(inputs->Floats(1), ElementsAre(1.5f, -2.0f));
  }
}

TEST(Inputs, OptionalInputsMayBeAbsentAndNoRowsAreRows) {
  ModelInferRequest request;
  AddInput(request, "title", "BYTES", 0);
  auto inputs = Inputs::Read(request, kSpecs);
  ASSERT_TRUE(inputs.ok()) << inputs.status();
  EXPECT_EQ(inputs->rows(), 0U);
  EXPECT_TRUE(inputs->Floats(1).empty());
}

TEST(Inputs, WhatIsWrongIsNamed) {
  const struct {
    const char* name;
    std::function<ModelInferRequest()> base;
    std::function<void(ModelInferRequest&)> change;
    const char* message;
  } cases[] = {
      {"missing", Typed, [](auto& r) { r.mutable_inputs()->DeleteSubrange(0, 1); }, "input \"title\": missing"},
      {"none at all", Typed, [](auto& r) { r.clear_inputs(); }, "missing; this model takes title BYTES[n], weight"},
      {"unknown", Typed, [](auto& r) { r.mutable_inputs(1)->set_name("x"); }, "\"x\": this model has no such input"},
      {"twice", Typed, [](auto& r) { *r.add_inputs() = r.inputs(0); }, "given twice"},
      {"datatype", Typed, [](auto& r) { r.mutable_inputs(1)->set_datatype("FP64"); },
       "datatype \"FP64\", expected FP32"},
      {"no shape", Typed, [](auto& r) { r.mutable_inputs(0)->clear_shape(); }, "0 dimensions"},
      {"matrix", Typed, [](auto& r) { r.mutable_inputs(0)->add_shape(1); }, "2 dimensions"},
      {"negative", Typed, [](auto& r) { r.mutable_inputs(0)->set_shape(0, -1); }, "shape [-1]"},
      {"huge", Typed, [](auto& r) { r.mutable_inputs(0)->set_shape(0, std::numeric_limits<int64_t>::max()); },
       "shape [9223372036854775807], expected 0 to 10000 rows"},
      {"rows differ", Typed, [](auto& r) { r.mutable_inputs(1)->set_shape(0, 1); },
       "1 rows, the input before it has 2"},
      {"too few", Typed,
       [](auto& r) { r.mutable_inputs(0)->mutable_contents()->mutable_bytes_contents()->RemoveLast(); },
       "1 elements in contents.bytes_contents, the shape says 2"},
      {"wrong field", Typed, [](auto& r) { r.mutable_inputs(1)->mutable_contents()->add_fp64_contents(1); },
       "1 elements outside contents.fp32_contents"},
      {"no contents", Typed, [](auto& r) { r.mutable_inputs(0)->clear_contents(); },
       "0 elements in contents.bytes_contents"},
      {"long element", Typed,
       [](auto& r) { r.mutable_inputs(0)->mutable_contents()->set_bytes_contents(0, std::string(5000, 'x')); },
       "element 0 has 5000 bytes, the limit is 4096"},
      {"both forms", Raw, [](auto& r) { r.mutable_inputs(0)->mutable_contents(); }, "expected one of them"},
      {"too few raw", Raw, [](auto& r) { r.mutable_raw_input_contents()->RemoveLast(); },
       "1 raw_input_contents for 2 inputs"},
      {"too many raw", Raw, [](auto& r) { r.add_raw_input_contents(""); }, "3 raw_input_contents for 2 inputs"},
      {"raw within a length", Raw, [](auto& r) { r.set_raw_input_contents(0, std::string("\4\0\0\0Jaws\0\0", 10)); },
       "within the length of element 1"},
      {"raw within an element", Raw, [](auto& r) { r.set_raw_input_contents(0, std::string("\4\0\0\0Jaw", 7)); },
       "within element 0: 3 of 4 bytes"},
      {"raw lying length", Raw, [](auto& r) { r.set_raw_input_contents(0, std::string("\xff\xff\xff\xffJaws", 8)); },
       "element 0 has 4294967295 bytes"},
      {"raw bytes after", Raw, [](auto& r) { r.mutable_raw_input_contents(0)->append("x"); },
       "1 bytes of raw contents after"},
      {"raw floats short", Raw, [](auto& r) { r.mutable_raw_input_contents(1)->pop_back(); },
       "7 bytes of raw contents, expected 8"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    ModelInferRequest request = c.base();
    c.change(request);
    const absl::Status status = Inputs::Read(request, kSpecs).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(Message(status)), HasSubstr(c.message));
  }
}

TEST(Inputs, MessagesRepeatOnlyTheBeginningOfWhatWasSent) {
  ModelInferRequest request;
  AddInput(request, std::string(1 << 20, 'n').c_str(), "BYTES", 0);
  EXPECT_LT(Message(Inputs::Read(request, kSpecs).status()).size(), 400U);
}

TEST(Outputs, FollowTheFormOfTheInputs) {
  const std::string_view titles[] = {"Jaws", "Up"};
  for (const ModelInferRequest& request : {Typed(), Raw()}) {
    inference::ModelInferResponse response;
    Outputs(request, response).Add(kSpecs[0], titles);
    ASSERT_EQ(response.outputs_size(), 1);
    EXPECT_THAT(response.outputs(0).shape(), ElementsAre(2));
    if (request.raw_input_contents_size() > 0) {
      EXPECT_EQ(response.raw_output_contents(0), std::string("\4\0\0\0Jaws\2\0\0\0Up", 14));
    } else {
      EXPECT_THAT(response.outputs(0).contents().bytes_contents(), ElementsAre("Jaws", "Up"));
    }
  }
}

TEST(Outputs, OnlyThoseThatWereAskedForAreGiven) {
  ModelInferRequest request = Typed();
  request.add_outputs()->set_name("weight");
  inference::ModelInferResponse response;
  const std::string_view titles[] = {"Jaws"};
  const float weights[] = {1};
  ASSERT_TRUE(Outputs::CheckRequested(request, kSpecs).ok());
  Outputs outputs(request, response);
  outputs.Add(kSpecs[0], titles);
  outputs.Add(kSpecs[1], weights);
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).name(), "weight");

  request.add_outputs()->set_name("rank");
  const absl::Status status = Outputs::CheckRequested(request, kSpecs);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(Message(status)),
              HasSubstr("output \"rank\": this model has no such output; it gives title"));
}

}  // namespace
}  // namespace signalbox::host
