// A table of vectors, looked up by integers.
// SPDX-License-Identifier: MIT
#include "nn/module.h"
#include "ops/ops.h"

namespace tf {
namespace {

struct Embedding final : tf_module {
  Embedding(int64_t num_embeddings, int64_t embedding_dim) {
    TF_CHECK(num_embeddings > 0 && embedding_dim > 0, TINYFIN_ERROR_ARGUMENT,
             "received num_embeddings = ", num_embeddings, ", embedding_dim = ", embedding_dim,
             "; expected both above 0");
    weight = add_parameter("weight", normal_parameter({num_embeddings, embedding_dim}));
    options = {{"num_embeddings", {double(num_embeddings)}},
               {"embedding_dim", {double(embedding_dim)}}};
  }
  const char* kind() const noexcept override { return "Embedding"; }
  Tensor forward(const Tensor& x) override { return embedding(slot(weight), x); }
  int weight;
};

}  // namespace

ModuleRef make_embedding(int64_t num_embeddings, int64_t embedding_dim) {
  return ModuleRef::adopt(new Embedding(num_embeddings, embedding_dim));
}

}  // namespace tf
