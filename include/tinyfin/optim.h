/* tinyfin/optim.h — optimisers: from gradients to new parameters.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TINYFIN_OPTIM_H
#define TINYFIN_OPTIM_H

#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Parameters in groups, each group with its options, each parameter with its
 * state. Formulas are PyTorch's. Reference counted. */
typedef struct tf_opt tf_opt;

/* Life ------------------------------------------------------------------- */

/* Each constructor takes the parameters of `module` as group 0, or none for
 * NULL: tf_opt_add_group adds tensors by hand. Options not named here start at
 * PyTorch's defaults. @since 0.1 */
TINYFIN_API tf_status tf_opt_sgd(const tf_module *module, double lr, tf_opt **out);
/* @since 0.1 */
TINYFIN_API tf_status tf_opt_adam(const tf_module *module, double lr, tf_opt **out);
/* @since 0.1 */
TINYFIN_API tf_status tf_opt_adamw(const tf_module *module, double lr, tf_opt **out);
/* @since 0.1 */
TINYFIN_API tf_status tf_opt_rmsprop(const tf_module *module, double lr, tf_opt **out);

/* Adds a reference and returns the same handle. NULL gives NULL. @since 0.1 */
TINYFIN_API tf_opt *tf_opt_retain(tf_opt *opt);

/* Gives a reference back. NULL is fine. @since 0.1 */
TINYFIN_API void tf_opt_release(tf_opt *opt);

/* A further group with the options that group TINYFIN_OPT_ALL has. Float leaves,
 * none of which is in the optimiser already. @since 0.1 */
TINYFIN_API tf_status tf_opt_add_group(tf_opt *opt, tf_tensor *const *params, int64_t n_params,
                                       int64_t *out_group);

/* Options ---------------------------------------------------------------- */

typedef int32_t tf_opt_option;
#define TINYFIN_OPT_LR 1           /* learning rate: 0 or more */
#define TINYFIN_OPT_MOMENTUM 2     /* SGD, RMSprop: 0 or more */
#define TINYFIN_OPT_WEIGHT_DECAY 3 /* 0 or more; AdamW: decoupled from the gradient */
#define TINYFIN_OPT_NESTEROV 4     /* SGD: 0 or 1 */
#define TINYFIN_OPT_BETA1 5        /* Adam, AdamW: [0, 1) */
#define TINYFIN_OPT_BETA2 6        /* Adam, AdamW: [0, 1) */
#define TINYFIN_OPT_EPS 7          /* Adam, AdamW, RMSprop: 0 or more */
#define TINYFIN_OPT_ALPHA 8        /* RMSprop: [0, 1] */

/* In place of a group's number: every group there is, and those to come. */
#define TINYFIN_OPT_ALL -1

/* Fails, and changes nothing, where the optimiser has no such option or the value
 * is outside its bounds. @since 0.1 */
TINYFIN_API tf_status tf_opt_set_f64(tf_opt *opt, int64_t group, tf_opt_option option,
                                     double value);

/* @since 0.1 */
TINYFIN_API tf_status tf_opt_get_f64(const tf_opt *opt, int64_t group, tf_opt_option option,
                                     double *out);

/* Least and greatest value. Name error where the optimiser has no such option.
 * @since 0.1 */
TINYFIN_API tf_status tf_opt_bounds(const tf_opt *opt, tf_opt_option option, double *out_low,
                                    double *out_high);

/* "lr", "weight_decay", …; NULL for an unknown number. @since 0.1 */
TINYFIN_API const char *tf_opt_option_name(tf_opt_option option);

/* Use -------------------------------------------------------------------- */

/* One update of every parameter that has a gradient. clip_norm above 0: gradients
 * count as if scaled so that the norm of all of them together is at most that;
 * the gradients themselves stay as they are. @since 0.1 */
TINYFIN_API tf_status tf_opt_step(tf_opt *opt, double clip_norm);

/* Removes the gradients of all parameters, or fills them with zeros.
 * @since 0.1 */
TINYFIN_API tf_status tf_opt_zero_grad(tf_opt *opt, int32_t set_to_none);

/* Asking ----------------------------------------------------------------- */

/* "SGD", "Adam", "AdamW", "RMSprop": never NULL. @since 0.1 */
TINYFIN_API const char *tf_opt_kind(const tf_opt *opt);
/* @since 0.1 */
TINYFIN_API int64_t tf_opt_group_count(const tf_opt *opt);
/* @since 0.1 */
TINYFIN_API int64_t tf_opt_param_count(const tf_opt *opt, int64_t group);
/* Borrowed; NULL past the last. @since 0.1 */
TINYFIN_API tf_tensor *tf_opt_param_at(const tf_opt *opt, int64_t group, int64_t i);

#ifdef __cplusplus
}
#endif
#endif /* TINYFIN_OPTIM_H */
