/* Views whose arguments are plain ints, slices and the like: x[…], x.reshape(2, 4), x.T. In Python,
 * reading them takes several times as long as the engine does. Anything else (NumPy's integers,
 * masks, numbers beyond 64 bits) goes to the function of Python that knows it, and so do errors in
 * the arguments, whose texts are there.
 *
 * Included by handle.h.
 *
 * SPDX-License-Identifier: MIT */

/* As many sizes, and items of an index, as are read here. */
enum { TFPY_MOST = 8 };

/* Part of the stable ABI since 3.10; before, the flag had the same value. */
#ifndef METH_FASTCALL
#define METH_FASTCALL 0x0080
#endif

/* The methods that take sizes, in the order in which bind() gets their functions of Python. */
enum { TFPY_RESHAPE, TFPY_RESHAPE_VIEW, TFPY_PERMUTE, TFPY_TRANSPOSE };

static tf_status (*const tfpy_sized[TFPY_SIZED])(const tf_tensor *, const int64_t *, int64_t,
                                                 tf_tensor **) = {
    tf_reshape, tf_reshape_view, tf_permute, tf_transpose};

/* 1: read, 0: not an int of 64 bits. */
static int int_of(PyObject *x, int64_t *out) {
  int overflow = 1;
  if (PyLong_CheckExact(x)) *out = PyLong_AsLongLongAndOverflow(x, &overflow);
  return !overflow;
}

/* An item of an index as tf_getitem takes it. 0: not for us. */
static int item_of(PyObject *x, int64_t *item) {
  Py_ssize_t bound[3];
  int i;
  item[1] = item[2] = item[3] = 0;
  item[0] = x == Py_None ? 2 : x == Py_Ellipsis ? 3 : 0;
  if (item[0]) return 1;
  if (!PySlice_Check(x)) return int_of(x, item + 1);
  if (PySlice_Unpack(x, bound, bound + 1, bound + 2)) {
    PyErr_Clear();
    return 0;
  }
  item[0] = 1;
  /* The engine reads INT64_MIN as "not given", and Python has put in what that means. */
  for (i = 0; i < 3; ++i) item[1 + i] = bound[i] == INT64_MIN ? INT64_MIN + 1 : bound[i];
  return 1;
}

static PyObject *handle_subscript(PyObject *self, PyObject *index) {
  int64_t spec[4 * TFPY_MOST];
  const int several = PyTuple_CheckExact(index);
  const Py_ssize_t n = several ? PyTuple_Size(index) : 1;
  const tf_tensor *x = tensor_in(self);
  tf_tensor *out = NULL;
  int known = x && n <= TFPY_MOST;
  Py_ssize_t i;
  for (i = 0; known && i < n; ++i)
    known = item_of(several ? PyTuple_GetItem(index, i) : index, spec + 4 * i);
  if (!known) return PyObject_CallFunctionObjArgs(tfpy.getitem, self, index, NULL);
  tfpy_note(tf_getitem(x, spec, 4 * n, NULL, 0, &out));
  return tensor_of_result(out);
}

/* function(self, *args) */
static PyObject *call_with(PyObject *function, PyObject *self, PyObject *const *args,
                           Py_ssize_t n) {
  PyObject *all = PyTuple_New(n + 1), *result = NULL;
  Py_ssize_t i;
  if (!all) return NULL;
  for (i = 0; i <= n; ++i) {
    PyObject *x = i ? args[i - 1] : self;
    Py_INCREF(x);
    PyTuple_SetItem(all, i, x);
  }
  result = PyObject_CallObject(function, all);
  Py_DECREF(all);
  return result;
}

/* x.reshape(2, 4), x.reshape((2, 4)) and the others of that kind. */
static PyObject *by_sizes(PyObject *self, PyObject *const *args, Py_ssize_t n, int which) {
  int64_t size[TFPY_MOST];
  const tf_tensor *x = tensor_in(self);
  tf_tensor *out = NULL;
  PyObject *list = n == 1 && PyTuple_CheckExact(args[0]) ? args[0] : NULL;
  const Py_ssize_t count = list ? PyTuple_Size(list) : n;
  int known = x && count <= TFPY_MOST;
  Py_ssize_t i;
  for (i = 0; known && i < count; ++i)
    known = int_of(list ? PyTuple_GetItem(list, i) : args[i], size + i);
  if (!known) return call_with(tfpy.sized[which], self, args, n);
  /* Only reshape copies, and never what is contiguous. */
  TFPY_BEGIN_WORK(tf_tensor_is_contiguous(x) ? 0 : tfpy_elements(x))
  tfpy_note(tfpy_sized[which](x, size, count, &out));
  TFPY_END_WORK
  return tensor_of_result(out);
}

#define TFPY_BY_SIZES(name, which)                                                     \
  static PyObject *name(PyObject *self, PyObject *const *args, Py_ssize_t n) {         \
    return by_sizes(self, args, n, which);                                             \
  }
TFPY_BY_SIZES(handle_reshape, TFPY_RESHAPE)
TFPY_BY_SIZES(handle_reshape_view, TFPY_RESHAPE_VIEW)
TFPY_BY_SIZES(handle_permute, TFPY_PERMUTE)
TFPY_BY_SIZES(handle_transpose, TFPY_TRANSPOSE)

#define TFPY_METHOD(name, text)                                                        \
  {#name, (PyCFunction)(void (*)(void))handle_##name, METH_FASTCALL, #name text}

static PyMethodDef handle_methods[] = {
    TFPY_METHOD(reshape, "($self, /, *size)\n--\n\n"
                "x in another shape with the same elements in row-major order; one size may be "
                "-1.\n\nA view where strides allow, else a copy."),
    TFPY_METHOD(reshape_view, "($self, /, *size)\n--\n\n"
                "x in another shape, never copied; one size may be -1.\n\n"
                "Errors: shape if x's strides allow no such view; reshape copies then."),
    TFPY_METHOD(permute, "($self, /, *dims)\n--\n\n"
                "A view of x with its dimensions in another order.\n\n"
                "dims: a permutation of 0 … ndim-1, negative numbers count from the end."),
    TFPY_METHOD(transpose, "($self, /, *dims)\n--\n\n"
                "A view of x with all dimensions reversed (no dims given) or in the order of a "
                "full\npermutation.\n\nTo exchange two dimensions of many: swapaxes."),
    {NULL, NULL, 0, NULL}};

static PyObject *handle_reversed(PyObject *self, void *unused) {
  (void)unused;
  return by_sizes(self, NULL, 0, TFPY_TRANSPOSE);
}

static PyGetSetDef handle_properties[] = {
    {"T", handle_reversed, NULL, "The dimensions in reverse order.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};
