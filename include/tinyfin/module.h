/* tinyfin/module.h — layers and networks: parameters, names, forward.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TINYFIN_MODULE_H
#define TINYFIN_MODULE_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A layer, or a network of them: parameters (trained), buffers (kept, not
 * trained), children. Reference counted. New ones are float32 on the default
 * device, in training mode; weights are drawn from the process-wide generator
 * with PyTorch's bounds. */
typedef struct tf_module tf_module;

/* Life ------------------------------------------------------------------- */

/* Adds a reference and returns the same handle. NULL gives NULL. @since 0.1 */
TINYFIN_API tf_module *tf_module_retain(tf_module *module);

/* Gives a reference back. NULL is fine. @since 0.1 */
TINYFIN_API void tf_module_release(tf_module *module);

/* Containers ------------------------------------------------------------- */

/* Runs its children one after the other; they are named "0", "1", …
 * @since 0.1 */
TINYFIN_API tf_status tf_module_sequential(tf_module *const *children, int64_t n_children,
                                           tf_module **out);

/* Adds a child at the end of a sequential module, which keeps a reference of
 * its own. @since 0.1 */
TINYFIN_API tf_status tf_module_append(tf_module *sequential, tf_module *child);

/* Layers ----------------------------------------------------------------- */

/* y = activation(x weight^T + bias) for x (…, in_features); weight
 * (out_features, in_features), bias (out_features) unless `bias` is 0.
 * @since 0.1 */
TINYFIN_API tf_status tf_module_linear(int64_t in_features, int64_t out_features, int32_t bias,
                                       tf_activation activation, tf_module **out);

/* Cross-correlation of x (N, in_channels, H, W); weight (out_channels,
 * in_channels / groups, kernel height, kernel width). Pairs are {height, width};
 * stride NULL: {1, 1}, padding NULL: {0, 0}, dilation NULL: {1, 1}. @since 0.1 */
TINYFIN_API tf_status tf_module_conv2d(int64_t in_channels, int64_t out_channels,
                                       const int64_t *kernel_size, const int64_t *stride,
                                       const int64_t *padding, const int64_t *dilation,
                                       int64_t groups, int32_t bias, tf_activation activation,
                                       tf_module **out);

/* The greatest element of each window. stride NULL: the window; padding NULL: 0.
 * @since 0.1 */
TINYFIN_API tf_status tf_module_max_pool2d(const int64_t *kernel_size, const int64_t *stride,
                                           const int64_t *padding, tf_module **out);

/* The mean of each window, zeros of the padding included. @since 0.1 */
TINYFIN_API tf_status tf_module_avg_pool2d(const int64_t *kernel_size, const int64_t *stride,
                                           const int64_t *padding, tf_module **out);

/* Normalises each channel of x (N, C) or (N, C, H, W) over all others, in
 * training by the batch's statistics, which go into running_mean and running_var
 * with weight `momentum`; in evaluation by those. affine: weight and bias.
 * @since 0.1 */
TINYFIN_API tf_status tf_module_batch_norm(int64_t num_features, double eps, double momentum,
                                           int32_t affine, int32_t track_running_stats,
                                           tf_module **out);

/* Normalises over the last dimensions, which must be `normalized_shape`.
 * @since 0.1 */
TINYFIN_API tf_status tf_module_layer_norm(const int64_t *normalized_shape,
                                           int64_t n_normalized_shape, double eps,
                                           int32_t affine, tf_module **out);

/* Rows of weight (num_embeddings, embedding_dim) chosen by integers. @since 0.1 */
TINYFIN_API tf_status tf_module_embedding(int64_t num_embeddings, int64_t embedding_dim,
                                          tf_module **out);

/* Attention of x (batch, time, embed_dim) to itself in num_heads parts; weights
 * q_weight, k_weight, v_weight, o_weight (embed_dim, embed_dim), no bias. causal:
 * a place sees itself and those before it. @since 0.1 */
TINYFIN_API tf_status tf_module_multihead_attention(int64_t embed_dim, int64_t num_heads,
                                                    int32_t causal, tf_module **out);

/* Recurrent layers over x (time, batch, input_size), with batch_first (batch,
 * time, input_size), from a state of zeros; the result is the output of the last
 * layer, (…, hidden_size), twice that where bidirectional. (tf_lstm, tf_gru and
 * tf_rnn take and give states.) dropout: of what goes into layers after the
 * first, in training. Parameters by PyTorch's names: weight_ih_l0, weight_hh_l0,
 * bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, … Gates: LSTM i f g o, GRU r z n;
 * of an RNN the activation is TINYFIN_ACTIVATION_TANH or _RELU. @since 0.1 */
TINYFIN_API tf_status tf_module_lstm(int64_t input_size, int64_t hidden_size, int64_t num_layers,
                                     int32_t bias, int32_t batch_first, double dropout,
                                     int32_t bidirectional, tf_module **out);

/* As tf_module_lstm. @since 0.1 */
TINYFIN_API tf_status tf_module_gru(int64_t input_size, int64_t hidden_size, int64_t num_layers,
                                    int32_t bias, int32_t batch_first, double dropout,
                                    int32_t bidirectional, tf_module **out);

/* As tf_module_lstm. @since 0.1 */
TINYFIN_API tf_status tf_module_rnn(int64_t input_size, int64_t hidden_size, int64_t num_layers,
                                    tf_activation activation, int32_t bias, int32_t batch_first,
                                    double dropout, int32_t bidirectional, tf_module **out);

/* In training, zeroes each element with probability p and scales the others by
 * 1 / (1 - p). @since 0.1 */
TINYFIN_API tf_status tf_module_dropout(double p, tf_module **out);

/* One of TINYFIN_ACTIVATION_…, element by element. @since 0.1 */
TINYFIN_API tf_status tf_module_activation(tf_activation kind, tf_module **out);

/* @since 0.1 */
TINYFIN_API tf_status tf_module_softmax(int64_t dim, tf_module **out);

/* Dimensions from start_dim on become one. @since 0.1 */
TINYFIN_API tf_status tf_module_flatten(int64_t start_dim, tf_module **out);

/* @since 0.1 */
TINYFIN_API tf_status tf_module_identity(tf_module **out);

/* Use -------------------------------------------------------------------- */

/* @since 0.1 */
TINYFIN_API tf_status tf_module_forward(tf_module *module, const tf_tensor *x, tf_tensor **out);

/* Training (1) or evaluation (0), for the module and everything below it:
 * dropout and batch normalisation differ. @since 0.1 */
TINYFIN_API tf_status tf_module_set_training(tf_module *module, int32_t on);

/* 1 in training; 0 in evaluation and for NULL. @since 0.1 */
TINYFIN_API int32_t tf_module_training(const tf_module *module);

/* Removes the gradients of all parameters, or fills them with zeros.
 * @since 0.1 */
TINYFIN_API tf_status tf_module_zero_grad(tf_module *module, int32_t set_to_none);

/* Moves and casts parameters, buffers and gradients in place: handles held by
 * optimisers and callers stay valid. TINYFIN_DEFAULT keeps the dtype (only float
 * tensors are cast), NULL the device. @since 0.1 */
TINYFIN_API tf_status tf_module_to(tf_module *module, tf_dtype dtype, const tf_device *device);

/* Parts (their handles are borrowed from the module) ----------------------- */

/* "Linear", "Sequential", …: never NULL. @since 0.1 */
TINYFIN_API const char *tf_module_kind(const tf_module *module);

/* Name of constructor argument `i` ("in_features", "kernel_size", …), NULL past
 * the last. @since 0.1 */
TINYFIN_API const char *tf_module_option_name(const tf_module *module, int64_t i);

/* Its value: at most `capacity` numbers go to `out`, their count to out_count
 * (2 for pairs). Name error for a name the module does not have. @since 0.1 */
TINYFIN_API tf_status tf_module_option(const tf_module *module, const char *name, double *out,
                                       int64_t capacity, int64_t *out_count);

/* Children of the module itself. @since 0.1 */
TINYFIN_API int64_t tf_module_child_count(const tf_module *module);
/* NULL past the last. @since 0.1 */
TINYFIN_API tf_module *tf_module_child_at(const tf_module *module, int64_t i);
/* NULL past the last. @since 0.1 */
TINYFIN_API const char *tf_module_child_name(const tf_module *module, int64_t i);

/* Parameters of the module and of everything below it, each once, in order of
 * construction. @since 0.1 */
TINYFIN_API int64_t tf_module_parameter_count(const tf_module *module);
/* NULL past the last. @since 0.1 */
TINYFIN_API tf_tensor *tf_module_parameter_at(const tf_module *module, int64_t i);
/* "weight", below a sequential "0.weight", …: its path, with dots. NULL past the
 * last. Valid until this thread asks for the next name. @since 0.1 */
TINYFIN_API const char *tf_module_parameter_name(const tf_module *module, int64_t i);

/* Buffers ("running_mean", "running_var"), as parameters. @since 0.1 */
TINYFIN_API int64_t tf_module_buffer_count(const tf_module *module);
/* @since 0.1 */
TINYFIN_API tf_tensor *tf_module_buffer_at(const tf_module *module, int64_t i);
/* @since 0.1 */
TINYFIN_API const char *tf_module_buffer_name(const tf_module *module, int64_t i);

/* The parameter or buffer of that name; NULL with tf_last_error() set when there
 * is none. @since 0.1 */
TINYFIN_API tf_tensor *tf_module_get(const tf_module *module, const char *name);

/* Puts another tensor of the same shape in the place of a parameter or buffer:
 * the module keeps a reference to it, and weights may be shared that way. An
 * optimiser that holds the tensor before goes on with that one. @since 0.1 */
TINYFIN_API tf_status tf_module_set(tf_module *module, const char *name, tf_tensor *tensor);

#ifdef __cplusplus
}
#endif
#endif /* TINYFIN_MODULE_H */
