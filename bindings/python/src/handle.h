/* Handle, the base class of Tensor: the object that owns a tensor of the engine, and the operators
 * of two tensors or of one and a number. In Python an operator would be a method, two calls of cffi
 * and a __del__, which together take longer than the engine does for a few elements.
 *
 * Included by the source that build_ffi.py writes, behind cffi's own definitions.
 *
 * SPDX-License-Identifier: MIT */

#include <structmember.h>

typedef struct {
  PyObject_HEAD
  PyObject *pointer; /* _h: cffi's `tf_tensor *`, the one place where the handle is kept */
  PyObject *weak;    /* references that tensors' users may have */
} tfpy_object;

enum { TFPY_SIZED = 4 }; /* methods that take sizes (views.h) */

/* What tfpy_bind was told once the classes existed. */
static struct {
  PyTypeObject *handle;              /* this base */
  PyTypeObject *tensor;              /* the class of results */
  allocfunc allocate;                /* of that class */
  struct _cffi_ctypedescr *pointer;  /* the type `tf_tensor *` */
  PyTypeObject *cdata;               /* the class of cffi's pointers */
  PyObject *operand;                 /* makes a Tensor of an operand; None: not for us */
  PyObject *raise_last;              /* raises for the call that failed last on this thread */
  PyObject *getitem;                 /* getitem(x, index) for any index */
  PyObject *sized[TFPY_SIZED];       /* reshape(x, *size) for any size, and so on */
} tfpy;

static int is_handle(PyObject *x) {
  return Py_TYPE(x) == tfpy.tensor || PyType_IsSubtype(Py_TYPE(x), tfpy.handle);
}

/* NULL where nobody set a handle (yet). */
static tf_tensor *tensor_in(PyObject *x) {
  PyObject *p = ((tfpy_object *)x)->pointer;
  return p && Py_TYPE(p) == tfpy.cdata ? (tf_tensor *)_cffi_to_c_pointer(p, tfpy.pointer) : NULL;
}

/* Objects ---------------------------------------------------------------------------------- */

static void handle_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  tfpy_object *x = (tfpy_object *)self;
  if (x->weak) PyObject_ClearWeakRefs(self);
  tf_tensor_release(tensor_in(self));
  Py_XDECREF(x->pointer);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

/* A Tensor around the pointer, whose reference it takes. */
static PyObject *tensor_around(PyObject *pointer) {
  PyObject *x = tfpy.allocate(tfpy.tensor, 0);
  if (x)
    ((tfpy_object *)x)->pointer = pointer;
  else
    Py_DECREF(pointer);
  return x;
}

static PyObject *raised(void) {
  PyObject *nothing = PyObject_CallFunctionObjArgs(tfpy.raise_last, NULL);
  Py_XDECREF(nothing);
  return NULL;
}

/* The result of a call; its exception where there is none. */
static PyObject *tensor_of_result(tf_tensor *out) {
  PyObject *pointer;
  if (!out) return raised();
  pointer = _cffi_from_c_pointer((char *)out, tfpy.pointer);
  if (!pointer) {
    tf_tensor_release(out);
    return NULL;
  }
  return tensor_around(pointer);
}

/* made(pointer): the same for what a shim answered to Python. */
static PyObject *tfpy_made(PyObject *module, PyObject *pointer) {
  (void)module;
  if (!_cffi_to_c_pointer(pointer, tfpy.pointer)) return PyErr_Occurred() ? NULL : raised();
  Py_INCREF(pointer);
  return tensor_around(pointer);
}

/* Operators -------------------------------------------------------------------------------- */

/* A number as a scalar that follows the other operand's dtype. 1: made, 0: no number, -1: raised. */
static int scalar_of(PyObject *x, tf_tensor **out) {
  *out = NULL;
  if (PyFloat_CheckExact(x)) {
    tfpy_note(tf_tensor_scalar_f64(PyFloat_AsDouble(x), out));
  } else if (PyLong_CheckExact(x)) {
    const long long value = PyLong_AsLongLong(x);
    if (value == -1 && PyErr_Occurred()) return -1;
    tfpy_note(tf_tensor_scalar_i64(value, out));
  } else {
    return 0;
  }
  return *out ? 1 : (raised(), -1);
}

/* An operand: the tensor it is, or one made of it in *made (a new reference). NULL: an exception is
 * set, or the operand is of a type that may know better (*made is None). */
static const tf_tensor *operand_of(PyObject *x, tf_tensor **scalar, PyObject **made) {
  *scalar = NULL;
  *made = NULL;
  if (!is_handle(x)) {
    const int number = scalar_of(x, scalar);
    if (number) return number > 0 ? *scalar : NULL;
    *made = PyObject_CallFunctionObjArgs(tfpy.operand, x, NULL);
    if (!*made || *made == Py_None) return NULL;
    x = *made;
  }
  if (!tensor_in(x)) PyErr_SetString(PyExc_ValueError, "[tensor] received one without a handle");
  return tensor_in(x);
}

static PyObject *no_operand(PyObject *made) {
  if (made != Py_None || PyErr_Occurred()) return NULL;
  Py_INCREF(Py_NotImplemented);
  return Py_NotImplemented;
}

static PyObject *operate(PyObject *a, PyObject *b, int op) {
  tf_tensor *scalar_a, *scalar_b = NULL, *out = NULL;
  PyObject *made_a, *made_b = NULL, *result;
  const tf_tensor *x = operand_of(a, &scalar_a, &made_a);
  const tf_tensor *y = x ? operand_of(b, &scalar_b, &made_b) : NULL;
  if (y) {
    TFPY_BEGIN_WORK(tfpy_elements(x) + tfpy_elements(y))
    tfpy_note(tfpy_operators[op](x, y, &out));
    TFPY_END_WORK
    result = tensor_of_result(out);
  } else {
    result = no_operand(x ? made_b : made_a);
  }
  tf_tensor_release(scalar_a);
  tf_tensor_release(scalar_b);
  Py_XDECREF(made_a);
  Py_XDECREF(made_b);
  return result;
}

static PyObject *operate_inplace(PyObject *a, PyObject *b, int op) {
  tf_tensor *scalar_a, *scalar_b = NULL;
  PyObject *made_a, *made_b = NULL, *result = NULL;
  tf_tensor *x = (tf_tensor *)operand_of(a, &scalar_a, &made_a); /* a Tensor: its slot was called */
  const tf_tensor *y = x ? operand_of(b, &scalar_b, &made_b) : NULL;
  if (y) {
    tf_status status;
    TFPY_BEGIN_WORK(tfpy_elements(x) + tfpy_elements(y))
    status = tfpy_note(tfpy_inplace_operators[op](x, y));
    TFPY_END_WORK
    if (status) {
      raised();
    } else {
      Py_INCREF(a);
      result = a;
    }
  } else {
    result = no_operand(x ? made_b : made_a);
  }
  tf_tensor_release(scalar_b);
  Py_XDECREF(made_b);
  return result;
}

#define TFPY_BINARY(name, op) \
  static PyObject *name(PyObject *a, PyObject *b) { return operate(a, b, op); }
#define TFPY_INPLACE(name, op) \
  static PyObject *name(PyObject *a, PyObject *b) { return operate_inplace(a, b, op); }

TFPY_BINARY(handle_add, TFPY_ADD)
TFPY_BINARY(handle_subtract, TFPY_SUB)
TFPY_BINARY(handle_multiply, TFPY_MUL)
TFPY_BINARY(handle_true_divide, TFPY_DIV)
TFPY_BINARY(handle_floor_divide, TFPY_FLOOR_DIVIDE)
TFPY_BINARY(handle_remainder, TFPY_REMAINDER)
TFPY_BINARY(handle_and, TFPY_BITWISE_AND)
TFPY_BINARY(handle_or, TFPY_BITWISE_OR)
TFPY_BINARY(handle_xor, TFPY_BITWISE_XOR)
TFPY_BINARY(handle_matmul, TFPY_MATMUL)
TFPY_INPLACE(handle_inplace_add, TFPY_ADD_)
TFPY_INPLACE(handle_inplace_subtract, TFPY_SUB_)
TFPY_INPLACE(handle_inplace_multiply, TFPY_MUL_)
TFPY_INPLACE(handle_inplace_true_divide, TFPY_DIV_)

static PyObject *handle_power(PyObject *a, PyObject *b, PyObject *modulus) {
  if (modulus == Py_None) return operate(a, b, TFPY_POW);
  Py_INCREF(Py_NotImplemented);
  return Py_NotImplemented;
}

static PyObject *handle_compare(PyObject *a, PyObject *b, int which) {
  static const int ops[] = {TFPY_LT, TFPY_LE, TFPY_EQ, TFPY_NE, TFPY_GT, TFPY_GE}; /* Py_LT … */
  return operate(a, b, ops[which]);
}

#include "src/views.h"

/* The class, and what the module has besides cffi's ffi and lib ------------------------------ */

static PyMemberDef handle_members[] = {
    {"_h", T_OBJECT_EX, offsetof(tfpy_object, pointer), 0, "cffi's pointer to the tensor"},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(tfpy_object, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyType_Slot handle_slots[] = {
    {Py_tp_doc, "Owns a tensor of the engine: the base class of Tensor."},
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_members, handle_members},
    {Py_tp_methods, handle_methods},
    {Py_tp_getset, handle_properties},
    {Py_mp_subscript, handle_subscript},
    {Py_tp_richcompare, handle_compare},
    {Py_nb_add, handle_add},
    {Py_nb_subtract, handle_subtract},
    {Py_nb_multiply, handle_multiply},
    {Py_nb_true_divide, handle_true_divide},
    {Py_nb_floor_divide, handle_floor_divide},
    {Py_nb_remainder, handle_remainder},
    {Py_nb_power, handle_power},
    {Py_nb_and, handle_and},
    {Py_nb_or, handle_or},
    {Py_nb_xor, handle_xor},
    {Py_nb_matrix_multiply, handle_matmul},
    {Py_nb_inplace_add, handle_inplace_add},
    {Py_nb_inplace_subtract, handle_inplace_subtract},
    {Py_nb_inplace_multiply, handle_inplace_multiply},
    {Py_nb_inplace_true_divide, handle_inplace_true_divide},
    {0, NULL}};

static PyType_Spec handle_spec = {"tinyfin._native.Handle", sizeof(tfpy_object), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, handle_slots};

/* bind(Tensor, ffi.typeof("tf_tensor *"), ffi.NULL, operand, raise_last, getitem, reshape,
 *      reshape_view, permute, transpose) */
static PyObject *tfpy_bind(PyObject *module, PyObject *args) {
  PyObject *tensor, *pointer, *null;
  (void)module;
  if (!PyArg_UnpackTuple(args, "bind", 6 + TFPY_SIZED, 6 + TFPY_SIZED, &tensor, &pointer, &null,
                         &tfpy.operand, &tfpy.raise_last, &tfpy.getitem, &tfpy.sized[0],
                         &tfpy.sized[1], &tfpy.sized[2], &tfpy.sized[3]))
    return NULL;
  if (!PyType_Check(tensor) || !PyType_IsSubtype((PyTypeObject *)tensor, tfpy.handle)) {
    PyErr_SetString(PyExc_TypeError, "[bind] expected a subclass of Handle");
    return NULL;
  }
  Py_INCREF(args); /* they stay for good */
  tfpy.tensor = (PyTypeObject *)tensor;
  tfpy.allocate = (allocfunc)PyType_GetSlot(tfpy.tensor, Py_tp_alloc);
  tfpy.pointer = (struct _cffi_ctypedescr *)pointer;
  tfpy.cdata = Py_TYPE(null);
  Py_INCREF(Py_None);
  return Py_None;
}

#include "src/modules.h"

static PyMethodDef module_functions[] = {
    {"made", tfpy_made, METH_O, "The Tensor of a pointer; raises for NULL."},
    {"bind", tfpy_bind, METH_VARARGS, "Tells Handle the classes and functions of Python."},
    {"bind_modules", tfpy_bind_modules, METH_VARARGS, "Tells Runner the class of modules."},
    {"modules_changed", tfpy_modules_changed, METH_NOARGS,
     "To be called when something changes that decides what runs a module."},
    {NULL, NULL, 0, NULL}};

/* A class of the module; NULL with an exception. */
static PyTypeObject *added_class(PyObject *module, const char *name, PyType_Spec *spec) {
  PyObject *type = PyType_FromSpec(spec);
  if (!type) return NULL;
  Py_INCREF(type);
  return PyModule_AddObject(module, name, type) ? NULL : (PyTypeObject *)type;
}

/* cffi's module, just made, with the classes and the functions above. */
static PyObject *tfpy_completed(PyObject *module) {
  if (!module) return NULL;
  tfpy_run.forward = PyUnicode_InternFromString("forward");
  tfpy_run.call = PyUnicode_InternFromString("__call__");
  tfpy_run.settle = PyUnicode_InternFromString("_settle");
  tfpy_run.on = PyUnicode_InternFromString("_on");
  tfpy.handle = added_class(module, "Handle", &handle_spec);
  if (!tfpy.handle || !added_class(module, "Runner", &runner_spec) ||
      !added_class(module, "GradMode", &mode_spec) || PyModule_AddFunctions(module, module_functions))
    return NULL;
  return module;
}
