/* tinyfin.h — train and run neural networks from any language.
 *
 * tinyfin is one shared library with a C interface: tensors with gradients,
 * layers, optimisers, data and checkpoints. This header includes all of it. What
 * follows is the manual: a whole program, the rules, where to find what.
 *
 * A complete training program ----------------------------------------------
 *
 *   #include <stdio.h>
 *   #include <tinyfin/tinyfin.h>
 *
 *   // Every call that can fail returns a status; tf_last_error() has the text.
 *   #define TRY(call) if ((call) != TINYFIN_OK) return puts(tf_last_error()), 1
 *
 *   int main(void) {
 *     tf_tensor *set[2], *batch[2], *logits, *loss;
 *     tf_module *layers[3], *model;
 *     tf_opt *opt;
 *     tf_data *data;
 *
 *     // The data: pixels to 0 … 1, labels as integers, shuffled batches of 64.
 *     TRY(tf_read_idx("train-images-idx3-ubyte.gz", TINYFIN_FLOAT32, 1 / 255.0, &set[0]));
 *     TRY(tf_read_idx("train-labels-idx1-ubyte.gz", TINYFIN_INT64, 1, &set[1]));
 *     TRY(tf_data_create((const tf_tensor *const *)set, 2, 64, 1, 0, 0, &data));
 *
 *     // The model and its optimiser.
 *     TRY(tf_manual_seed(0));
 *     TRY(tf_module_flatten(1, &layers[0]));
 *     TRY(tf_module_linear(784, 128, 1, TINYFIN_ACTIVATION_RELU, &layers[1]));
 *     TRY(tf_module_linear(128, 10, 1, TINYFIN_ACTIVATION_NONE, &layers[2]));
 *     TRY(tf_module_sequential(layers, 3, &model));
 *     TRY(tf_opt_adam(model, 1e-3, &opt));
 *
 *     // One epoch: forward, backward, step.
 *     while (tf_data_next(data, batch, 2) == TINYFIN_OK) {
 *       TRY(tf_module_forward(model, batch[0], &logits));
 *       TRY(tf_cross_entropy(logits, batch[1], NULL, TINYFIN_REDUCTION_MEAN, &loss));
 *       TRY(tf_backward(loss, NULL, 0, 0));
 *       TRY(tf_opt_step(opt, 0));
 *       TRY(tf_opt_zero_grad(opt, 1));
 *       tf_tensor_release(batch[0]), tf_tensor_release(batch[1]);
 *       tf_tensor_release(logits), tf_tensor_release(loss);
 *     }
 *     TRY(tf_save_checkpoint("model.tfc", model, opt, data, NULL));
 *     return 0;
 *   }
 *
 *   cc program.c $(pkg-config --cflags --libs tinyfin)
 *
 * Rules ----------------------------------------------------------------------
 *
 * Errors. A call that can fail returns a tf_status, TINYFIN_OK or what went
 * wrong, and puts results in trailing parameters named out…, which are NULL or 0
 * after a failure. tf_last_error() then says on one line what was received, what
 * was expected and what to try. Nothing exits, prints or is left half-changed.
 *
 * Ownership. A handle that comes through an out parameter is the caller's, to be
 * given back with the release function of its type. A pointer that a function
 * returns is borrowed: it lives as long as what it was asked of. Arguments are
 * never taken over; who keeps one holds a reference of its own. Release takes
 * NULL, works on any thread and in any order.
 *
 * Threads. Different handles may be used by different threads at once; one handle
 * needs the caller's lock, except for retain and release. Grad mode, default
 * device and last error belong to the thread; the random generator, the number of
 * threads and the memory cap to the process.
 *
 * Results. The same program gives the same bits for any number of threads.
 *
 * Where things are -----------------------------------------------------------
 */
/* SPDX-License-Identifier: MIT */
#ifndef TINYFIN_TINYFIN_H
#define TINYFIN_TINYFIN_H

#include "base.h"     /* statuses, dtypes, devices, memory, threads, random seed */
#include "tensor.h"   /* tensors: making them, asking them, values in and out */
#include "ops.h"      /* what can be computed with them */
#include "autograd.h" /* gradients */
#include "module.h"   /* layers and networks */
#include "optim.h"    /* optimisers */
#include "data.h"     /* data files, batches */
#include "io.h"       /* checkpoints */
#include "backend.h"  /* other devices: using plugins, and writing them */

#endif /* TINYFIN_TINYFIN_H */
