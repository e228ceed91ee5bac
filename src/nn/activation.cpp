// Checks of what activations layers are asked to apply.
// SPDX-License-Identifier: MIT
#include "nn/module.h"

namespace tf {

void check_activation(tf_activation kind) {
  TF_CHECK(kind >= TINYFIN_ACTIVATION_NONE && kind <= TINYFIN_ACTIVATION_SILU,
           TINYFIN_ERROR_ARGUMENT, "received activation ", kind,
           "; expected one of TINYFIN_ACTIVATION_NONE … TINYFIN_ACTIVATION_SILU (1 to 7)");
}

}  // namespace tf
