/* Preloaded into PyTorch: its MKL asks this whether the processor is one it knows, and takes a slow
 * path on processors of other makers. Compiled into build/peers by `make bench-peers`.
 * SPDX-License-Identifier: MIT
 */
int mkl_serv_intel_cpu_true(void);
int mkl_serv_intel_cpu_true(void) { return 1; }
