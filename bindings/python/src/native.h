/* The C side of the Python package that is written by hand: what tensor.py needs besides ops.
 *
 * build_ffi.py reads the definitions whose names begin with tfpy_ as declarations for cffi;
 * those without a body are Python functions.
 *
 * SPDX-License-Identifier: MIT */

/* Making ----------------------------------------------------------------------------------- */

static tf_tensor *tfpy_scalar_f64(double value) {
  tf_tensor *out = NULL;
  tfpy_note(tf_tensor_scalar_f64(value, &out));
  return out;
}

static tf_tensor *tfpy_scalar_i64(int64_t value) {
  tf_tensor *out = NULL;
  tfpy_note(tf_tensor_scalar_i64(value, &out));
  return out;
}

static tf_tensor *tfpy_scalar_bool(int32_t value) {
  tf_tensor *out = NULL;
  tfpy_note(tf_tensor_scalar_bool(value, &out));
  return out;
}

static tf_tensor *tfpy_from_data(const void *data, size_t bytes, const int64_t *shape,
                                 int64_t n_shape, tf_dtype dtype, const tf_device *device) {
  tf_tensor *out = NULL;
  tfpy_note(tf_tensor_from_data(data, bytes, shape, n_shape, dtype, device, &out));
  return out;
}

static tf_tensor *tfpy_detach(const tf_tensor *x) {
  tf_tensor *out = NULL;
  tfpy_note(tf_tensor_detach(x, &out));
  return out;
}

/* A new handle of the gradient; NULL where there is none. */
static tf_tensor *tfpy_grad(const tf_tensor *x) {
  tf_tensor *out = NULL;
  tfpy_note(tf_tensor_grad(x, &out));
  return out;
}

/* The only element. A failure gives a value that few tensors hold, and tfpy_status() tells. */
static double tfpy_item_f64(const tf_tensor *x) {
  double out = 0;
  tfpy_last_status = TINYFIN_OK;
  return tfpy_note(tf_tensor_item_f64(x, &out)) ? -1.0 : out;
}

static int64_t tfpy_item_i64(const tf_tensor *x) {
  int64_t out = 0;
  tfpy_last_status = TINYFIN_OK;
  return tfpy_note(tf_tensor_item_i64(x, &out)) ? -1 : out;
}

/* Hooks: Python functions the engine calls during backward --------------------------------- */

static tf_status tfpy_call_hook(const tf_tensor *grad, tf_tensor **out_replacement, void *user);
static void tfpy_drop_user(void *user);

/* DLPack (https://dmlc.github.io/dlpack, version 1.0) --------------------------------------- */

typedef struct {
  int32_t device_type, device_id;
} tfpy_dl_device;

typedef struct {
  uint8_t code, bits;
  uint16_t lanes;
} tfpy_dl_dtype;

typedef struct {
  void *data;
  tfpy_dl_device device;
  int32_t ndim;
  tfpy_dl_dtype dtype;
  int64_t *shape;
  int64_t *strides;
  uint64_t byte_offset;
} tfpy_dl_tensor;

/* What a capsule "dltensor" points to … */
typedef struct tfpy_dl_managed {
  tfpy_dl_tensor tensor;
  void *context;
  void (*deleter)(struct tfpy_dl_managed *self);
} tfpy_dl_managed;

/* … and a capsule "dltensor_versioned". */
typedef struct tfpy_dl_versioned {
  uint32_t major, minor;
  void *context;
  void (*deleter)(struct tfpy_dl_versioned *self);
  uint64_t flags;
  tfpy_dl_tensor tensor;
} tfpy_dl_versioned;

enum { TFPY_DL_CPU = 1, TFPY_DL_READ_ONLY = 1 };

static const struct {
  tf_dtype dtype;
  tfpy_dl_dtype dl;
} tfpy_dl_dtypes[] = {
    {TINYFIN_FLOAT32, {2, 32, 1}}, {TINYFIN_FLOAT64, {2, 64, 1}}, {TINYFIN_INT32, {0, 32, 1}},
    {TINYFIN_INT64, {0, 64, 1}},   {TINYFIN_BOOL, {6, 8, 1}},     {TINYFIN_BFLOAT16, {4, 16, 1}},
};

static void dl_describe(const tf_tensor *x, tfpy_dl_tensor *out) {
  out->data = tf_tensor_data(x);
  out->device.device_type = TFPY_DL_CPU;
  out->device.device_id = 0;
  out->ndim = (int32_t)tf_tensor_ndim(x);
  for (size_t i = 0; i < sizeof tfpy_dl_dtypes / sizeof *tfpy_dl_dtypes; ++i)
    if (tfpy_dl_dtypes[i].dtype == tf_tensor_dtype(x)) out->dtype = tfpy_dl_dtypes[i].dl;
  /* Both stay where they are while the tensor lives. */
  out->shape = (int64_t *)tf_tensor_shape(x);
  out->strides = (int64_t *)tf_tensor_strides(x);
  out->byte_offset = 0;
}

static void dl_delete(tfpy_dl_managed *self) {
  tf_tensor_release((tf_tensor *)self->context);
  free(self);
}

static void dl_delete_versioned(tfpy_dl_versioned *self) {
  tf_tensor_release((tf_tensor *)self->context);
  free(self);
}

/* A DLManagedTensor over the tensor's memory, which it keeps alive; NULL without memory. */
static void *tfpy_to_dlpack(tf_tensor *x) {
  tfpy_dl_managed *m = (tfpy_dl_managed *)calloc(1, sizeof *m);
  if (!m) return NULL;
  dl_describe(x, &m->tensor);
  m->context = tf_tensor_retain(x);
  m->deleter = dl_delete;
  return m;
}

static void *tfpy_to_dlpack_versioned(tf_tensor *x) {
  tfpy_dl_versioned *m = (tfpy_dl_versioned *)calloc(1, sizeof *m);
  if (!m) return NULL;
  m->major = 1;
  dl_describe(x, &m->tensor);
  m->context = tf_tensor_retain(x);
  m->deleter = dl_delete_versioned;
  return m;
}

/* For a capsule nobody consumed. */
static void tfpy_drop_dlpack(void *managed, int32_t versioned) {
  if (versioned) {
    tfpy_dl_versioned *m = (tfpy_dl_versioned *)managed;
    if (m->deleter) m->deleter(m);
  } else {
    tfpy_dl_managed *m = (tfpy_dl_managed *)managed;
    if (m->deleter) m->deleter(m);
  }
}

static void dl_release(void *managed) { tfpy_drop_dlpack(managed, 0); }
static void dl_release_versioned(void *managed) { tfpy_drop_dlpack(managed, 1); }

/* A tensor over memory that another library lends. What is not on the host, or not of our
 * types, gives NULL and *why, and the struct stays the caller's. */
static tf_tensor *tfpy_from_dlpack(void *managed, int32_t versioned, const char **why) {
  tfpy_dl_versioned *v = (tfpy_dl_versioned *)managed;
  tfpy_dl_tensor *t = versioned ? &v->tensor : &((tfpy_dl_managed *)managed)->tensor;
  tf_dtype dtype = TINYFIN_DEFAULT;
  tf_tensor *out = NULL;
  int64_t last = 0;
  *why = NULL;
  if (versioned && v->major != 1) {
    *why = "a DLPack struct of another major version";
    return NULL;
  }
  if (t->device.device_type != TFPY_DL_CPU) {
    *why = "memory that is not on the cpu";
    return NULL;
  }
  for (size_t i = 0; i < sizeof tfpy_dl_dtypes / sizeof *tfpy_dl_dtypes; ++i) {
    const tfpy_dl_dtype d = tfpy_dl_dtypes[i].dl;
    if (d.code == t->dtype.code && d.bits == t->dtype.bits && t->dtype.lanes == 1)
      dtype = tfpy_dl_dtypes[i].dtype;
  }
  if (dtype == TINYFIN_DEFAULT) {
    *why = "an element type other than float32, float64, bfloat16, int32, int64 and bool";
    return NULL;
  }
  for (int32_t i = 0; i < t->ndim; ++i) {
    if (t->strides && t->strides[i] < 0) {
      *why = "negative strides";
      return NULL;
    }
    if (t->shape[i] == 0) last = -1;
  }
  if (last == 0) { /* the offset of the last element */
    int64_t row_major = 1;
    for (int32_t i = t->ndim - 1; i >= 0; row_major *= t->shape[i--])
      last += (t->shape[i] - 1) * (t->strides ? t->strides[i] : row_major);
  }
  tfpy_note(tf_tensor_borrow_data((char *)t->data + t->byte_offset,
                                  (size_t)(last + 1) * tf_dtype_size(dtype), t->shape, t->ndim,
                                  t->strides, dtype,
                                  !(versioned && (v->flags & TFPY_DL_READ_ONLY)), managed,
                                  versioned ? dl_release_versioned : dl_release, &out));
  return out;
}

/* Modules ---------------------------------------------------------------------------------- */

static tf_tensor *tfpy_module_forward(tf_module *module, const tf_tensor *x) {
  tf_tensor *out = NULL;
  tfpy_note(tf_module_forward(module, x, &out));
  return out;
}
