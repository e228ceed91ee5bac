/* tinyfin/autograd.h — gradients.
 *
 * Ops on tensors that require a gradient are recorded; tf_backward walks the
 * record from a result back to the leaves and adds to their gradients.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TINYFIN_AUTOGRAD_H
#define TINYFIN_AUTOGRAD_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Marks a leaf (a tensor no recorded op made) as wanting a gradient, or takes
 * that back. Float tensors only. @since 0.1 */
TINYFIN_API tf_status tf_tensor_set_requires_grad(tf_tensor *tensor, int32_t on);

/* 1 if the tensor wants a gradient or was made from one that does. @since 0.1 */
TINYFIN_API int32_t tf_tensor_requires_grad(const tf_tensor *tensor);

/* 1 if no recorded op made the tensor. @since 0.1 */
TINYFIN_API int32_t tf_tensor_is_leaf(const tf_tensor *tensor);

/* Name of the recorded op that made the tensor, "" for a leaf. @since 0.1 */
TINYFIN_API const char *tf_tensor_op_name(const tf_tensor *tensor);

/* The gradient, or NULL in *out if there is none yet. @since 0.1 */
TINYFIN_API tf_status tf_tensor_grad(const tf_tensor *tensor, tf_tensor **out);

/* Replaces the gradient; NULL removes it. @since 0.1 */
TINYFIN_API tf_status tf_tensor_set_grad(tf_tensor *tensor, const tf_tensor *grad);

/* Keeps the gradient of a tensor that is not a leaf. @since 0.1 */
TINYFIN_API tf_status tf_tensor_retain_grad(tf_tensor *tensor);

/* The same values without history; shares memory. @since 0.1 */
TINYFIN_API tf_status tf_tensor_detach(const tf_tensor *tensor, tf_tensor **out);

/* Adds d(root)/d(leaf) to the gradient of every leaf. grad: the gradient at the
 * root, NULL for 1 (the root must then have one element). Unless retain_graph,
 * saved values are given back on the way: a second call fails. create_graph
 * records the walk itself, for gradients of gradients. @since 0.1 */
TINYFIN_API tf_status tf_backward(const tf_tensor *root, const tf_tensor *grad,
                                  int32_t retain_graph, int32_t create_graph);

/* The same from several roots at once; grads may be NULL, as may its entries.
 * @since 0.1 */
TINYFIN_API tf_status tf_backward_many(const tf_tensor *const *roots,
                                       const tf_tensor *const *grads, int64_t n_roots,
                                       int32_t retain_graph, int32_t create_graph);

/* Gradients of outputs with respect to inputs, returned in out[n_inputs];
 * leaves are not touched. An input that does not take part: NULL where
 * allow_unused, else an error. @since 0.1 */
TINYFIN_API tf_status tf_grad(const tf_tensor *const *outputs, const tf_tensor *const *grads,
                              int64_t n_outputs, const tf_tensor *const *inputs,
                              int64_t n_inputs, int32_t retain_graph, int32_t create_graph,
                              int32_t allow_unused, tf_tensor **out);

/* Grad mode of this thread: 1 (the start) records, 0 does not. @since 0.1 */
TINYFIN_API int32_t tf_grad_enabled(void);

/* Returns the mode before. @since 0.1 */
TINYFIN_API int32_t tf_set_grad_enabled(int32_t on);

/* What retain_graph is where a language binding's user does not say; at first
 * $TINYFIN_RETAIN_GRAPH or $TINYFIN_PERSISTENT_TAPE, else 0. @since 0.1 */
TINYFIN_API int32_t tf_retain_graph_default(void);
/* @since 0.1 */
TINYFIN_API void tf_set_retain_graph_default(int32_t on);

/* A function that sees each gradient of a tensor during backward, on the thread
 * that called it. It may put a replacement of the same shape in
 * *out_replacement (the engine takes it over). A status other than 0 ends the
 * backward and is returned by it. */
typedef tf_status (*tf_hook_fn)(const tf_tensor *grad, tf_tensor **out_replacement, void *user);

/* `destroy(user)` runs exactly once, when the hook is removed or its tensor's
 * record goes, or before this function fails; it may be NULL. @since 0.1 */
TINYFIN_API tf_status tf_tensor_add_hook(tf_tensor *tensor, tf_hook_fn hook, void *user,
                                         void (*destroy)(void *user), int64_t *out_id);

/* Removing twice is fine. @since 0.1 */
TINYFIN_API tf_status tf_tensor_remove_hook(tf_tensor *tensor, int64_t id);

#ifdef __cplusplus
}
#endif
#endif /* TINYFIN_AUTOGRAD_H */
