/* tinyfin/io.h — checkpoints: named tensors and texts in one file.
 *
 * A file is written next to its place and renamed into it when it is complete
 * and on disk: what is there is whole. A reader trusts nothing in it: sizes are
 * checked before they are used, every part against its CRC-32.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TINYFIN_IO_H
#define TINYFIN_IO_H

#include "data.h"
#include "module.h"
#include "optim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In one call ------------------------------------------------------------ */

/* Saves what training needs to go on: parameters and buffers, the optimiser's
 * state and options, the data's position, the random generator, and a text of the
 * caller's. All but path may be NULL. @since 0.1 */
TINYFIN_API tf_status tf_save_checkpoint(const char *path, const tf_module *module,
                                         const tf_opt *opt, const tf_data *data,
                                         const char *metadata);

/* Restores it. Everything is compared with what it goes into before anything is
 * changed; NULL leaves that part of the file alone. The generator is restored
 * too. @since 0.1 */
TINYFIN_API tf_status tf_load_checkpoint(const char *path, tf_module *module, tf_opt *opt,
                                         tf_data *data);

/* Part by part ------------------------------------------------------------ */

/* Named tensors and texts in memory, in the order they were added. Reference
 * counted. */
typedef struct tf_checkpoint tf_checkpoint;

/* An empty one. @since 0.1 */
TINYFIN_API tf_status tf_checkpoint_create(tf_checkpoint **out);

/* One from a file. @since 0.1 */
TINYFIN_API tf_status tf_checkpoint_read(const char *path, tf_checkpoint **out);

/* Writes it to a file, over one that may be there. @since 0.1 */
TINYFIN_API tf_status tf_checkpoint_write(const tf_checkpoint *checkpoint, const char *path);

/* Adds a reference and returns the same handle. NULL gives NULL. @since 0.1 */
TINYFIN_API tf_checkpoint *tf_checkpoint_retain(tf_checkpoint *checkpoint);

/* Gives a reference back. NULL is fine. @since 0.1 */
TINYFIN_API void tf_checkpoint_release(tf_checkpoint *checkpoint);

/* Adds a tensor, or replaces the one of that name. Its values are those at the
 * time of writing: nothing is copied. @since 0.1 */
TINYFIN_API tf_status tf_checkpoint_add(tf_checkpoint *checkpoint, const char *name,
                                        const tf_tensor *tensor);

/* Adds a text in UTF-8, or replaces it. The name "metadata" is the caller's text
 * of tf_save_checkpoint. @since 0.1 */
TINYFIN_API tf_status tf_checkpoint_add_text(tf_checkpoint *checkpoint, const char *name,
                                             const char *text);

/* Tensors and texts, in one count. @since 0.1 */
TINYFIN_API int64_t tf_checkpoint_count(const tf_checkpoint *checkpoint);
/* Name of entry `i`; NULL past the last. @since 0.1 */
TINYFIN_API const char *tf_checkpoint_name_at(const tf_checkpoint *checkpoint, int64_t i);
/* Borrowed; NULL where entry `i` is a text or past the last. @since 0.1 */
TINYFIN_API tf_tensor *tf_checkpoint_tensor_at(const tf_checkpoint *checkpoint, int64_t i);
/* Borrowed; NULL where entry `i` is a tensor or past the last. @since 0.1 */
TINYFIN_API const char *tf_checkpoint_text_at(const tf_checkpoint *checkpoint, int64_t i);

/* The tensor of that name, borrowed; NULL with tf_last_error() set when there is
 * none. @since 0.1 */
TINYFIN_API tf_tensor *tf_checkpoint_tensor(const tf_checkpoint *checkpoint, const char *name);
/* The text of that name, borrowed; NULL with tf_last_error() set when there is
 * none. @since 0.1 */
TINYFIN_API const char *tf_checkpoint_text(const tf_checkpoint *checkpoint, const char *name);

/* Adds parameters and buffers as prefix + "0.weight", …. NULL prefix: "".
 * @since 0.1 */
TINYFIN_API tf_status tf_checkpoint_add_module(tf_checkpoint *checkpoint, const char *prefix,
                                               const tf_module *module);

/* Copies them back, cast to the module's dtype. strict: a tensor of that prefix
 * that the module lacks, or the other way round, is an error. Checks all before it
 * changes anything. @since 0.1 */
TINYFIN_API tf_status tf_checkpoint_load_module(const tf_checkpoint *checkpoint,
                                                const char *prefix, tf_module *module,
                                                int32_t strict);

/* Adds the optimiser's options and state: prefix + "0.lr" for group 0, prefix +
 * "state.3.exp_avg" for parameter 3 (counted over all groups), …. @since 0.1 */
TINYFIN_API tf_status tf_checkpoint_add_opt(tf_checkpoint *checkpoint, const char *prefix,
                                            const tf_opt *opt);

/* Copies them back into an optimiser of the same kind over as many parameters of
 * the same shapes. Checks all before it changes anything. @since 0.1 */
TINYFIN_API tf_status tf_checkpoint_load_opt(const tf_checkpoint *checkpoint, const char *prefix,
                                             tf_opt *opt);

#ifdef __cplusplus
}
#endif
#endif /* TINYFIN_IO_H */
