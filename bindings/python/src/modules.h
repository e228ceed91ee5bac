/* What a call of a layer, and of no_grad() around it, costs in Python is as much as the forward
 * pass of a small network. Here are the base classes that do both without it.
 *
 * Included by handle.h.
 *
 * SPDX-License-Identifier: MIT */

/* Runner: the base class of layers of the engine ----------------------------------------------
 *
 * A call runs the tf_module where Python has said that the engine does all that the layer's own
 * call would, and Module.__call__ otherwise. What was said holds until something changes that
 * decides it (tfpy_run_version); then the layer's _settle() is asked again. */

typedef struct {
  PyObject_HEAD
  PyObject *pointer; /* cffi's `tf_module *`, which the layer owns; NULL: runs in Python */
  PyObject *forward; /* what the class had as forward() */
  uint64_t version;
} tfpy_runner;

static uint64_t tfpy_run_version = 1;
static struct {
  PyObject *module;                 /* the class Module */
  struct _cffi_ctypedescr *pointer; /* the type `tf_module *` */
  PyObject *forward, *call, *settle, *on; /* names of attributes */
} tfpy_run;

static void runner_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  Py_XDECREF(((tfpy_runner *)self)->pointer);
  Py_XDECREF(((tfpy_runner *)self)->forward);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

/* runner._ready(pointer): what runs it, or None. */
static PyObject *runner_ready(PyObject *self, PyObject *pointer) {
  tfpy_runner *r = (tfpy_runner *)self;
  PyObject *old_pointer = r->pointer, *old_forward = r->forward;
  PyObject *forward = PyObject_GetAttr((PyObject *)Py_TYPE(self), tfpy_run.forward);
  if (!forward) return NULL;
  if (pointer != Py_None) Py_INCREF(pointer);
  r->pointer = pointer == Py_None ? NULL : pointer;
  r->forward = forward;
  r->version = tfpy_run_version;
  Py_XDECREF(old_pointer);
  Py_XDECREF(old_forward);
  Py_INCREF(Py_None);
  return Py_None;
}

/* Whether _ready() is to be called again. */
static PyObject *runner_stale(PyObject *self, PyObject *unused) {
  (void)unused;
  return PyBool_FromLong(((tfpy_runner *)self)->version != tfpy_run_version);
}

/* The input of a call by which the engine runs the module; NULL where it does not. */
static const tf_tensor *only_input(const tfpy_runner *r, PyObject *args, PyObject *named) {
  PyObject *given, *forward;
  if (!r->pointer || PyTuple_Size(args) != 1 || (named && PyDict_Size(named))) return NULL;
  given = PyTuple_GetItem(args, 0);
  if (!is_handle(given)) return NULL;
  /* Somebody may have given the class another forward(). */
  forward = PyObject_GetAttr((PyObject *)Py_TYPE(r), tfpy_run.forward);
  if (!forward) PyErr_Clear();
  Py_XDECREF(forward);
  return forward == r->forward ? tensor_in(given) : NULL;
}

/* Module.__call__(self, *args, **named) */
static PyObject *call_in_python(PyObject *self, PyObject *args, PyObject *named) {
  PyObject *call = PyObject_GetAttr(tfpy_run.module, tfpy_run.call), *result = NULL;
  PyObject *all = PyTuple_New(PyTuple_Size(args) + 1);
  Py_ssize_t i;
  if (call && all) {
    for (i = 0; i < PyTuple_Size(all); ++i) {
      PyObject *x = i ? PyTuple_GetItem(args, i - 1) : self;
      Py_INCREF(x);
      PyTuple_SetItem(all, i, x);
    }
    result = PyObject_Call(call, all, named);
  }
  Py_XDECREF(call);
  Py_XDECREF(all);
  return result;
}

static PyObject *runner_call(PyObject *self, PyObject *args, PyObject *named) {
  const tfpy_runner *r = (const tfpy_runner *)self;
  const tf_tensor *x;
  tf_module *module;
  tf_tensor *out = NULL;
  if (r->version != tfpy_run_version) {
    PyObject *nothing = PyObject_CallMethodObjArgs(self, tfpy_run.settle, NULL);
    if (!nothing) return NULL;
    Py_DECREF(nothing);
  }
  x = only_input(r, args, named);
  if (!x) return call_in_python(self, args, named);
  module = (tf_module *)_cffi_to_c_pointer(r->pointer, tfpy_run.pointer);
  tf_module_retain(module); /* another thread may replace it meanwhile */
  TFPY_BEGIN_WORK(tfpy_elements(x))
  tfpy_note(tf_module_forward(module, x, &out));
  TFPY_END_WORK
  tf_module_release(module);
  return tensor_of_result(out);
}

static PyMethodDef runner_methods[] = {
    {"_ready", runner_ready, METH_O, "What runs the module until something changes, or None."},
    {"_stale", runner_stale, METH_NOARGS, "Whether something has changed since _ready()."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot runner_slots[] = {{Py_tp_doc, "Runs layers of the engine."},
                                     {Py_tp_dealloc, runner_dealloc},
                                     {Py_tp_call, runner_call},
                                     {Py_tp_methods, runner_methods},
                                     {0, NULL}};

static PyType_Spec runner_spec = {"tinyfin._native.Runner", sizeof(tfpy_runner), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, runner_slots};

/* bind_modules(Module, ffi.typeof("tf_module *")) */
static PyObject *tfpy_bind_modules(PyObject *module, PyObject *args) {
  (void)module;
  if (!PyArg_UnpackTuple(args, "bind_modules", 2, 2, &tfpy_run.module,
                         (PyObject **)&tfpy_run.pointer))
    return NULL;
  Py_INCREF(args); /* they stay for good */
  Py_INCREF(Py_None);
  return Py_None;
}

/* modules_changed(): every module is asked again what runs it. */
static PyObject *tfpy_modules_changed(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  ++tfpy_run_version;
  Py_INCREF(Py_None);
  return Py_None;
}

/* GradMode: the base class of no_grad and enable_grad ------------------------------------------ */

typedef struct {
  PyObject_HEAD
  char *before; /* the modes found on entering, the innermost last */
  Py_ssize_t depth, room;
} tfpy_mode;

static void mode_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  free(((tfpy_mode *)self)->before);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

/* Without arguments nothing; else _wrap(). */
static int mode_init(PyObject *self, PyObject *args, PyObject *named) {
  PyObject *wrap, *nothing = NULL;
  if (PyTuple_Size(args) == 0 && !named) return 0;
  wrap = PyObject_GetAttrString(self, "_wrap");
  if (wrap) nothing = PyObject_Call(wrap, args, named);
  Py_XDECREF(wrap);
  Py_XDECREF(nothing);
  return nothing ? 0 : -1;
}

static PyObject *mode_enter(PyObject *self, PyObject *unused) {
  tfpy_mode *m = (tfpy_mode *)self;
  PyObject *on = PyObject_GetAttr(self, tfpy_run.on);
  (void)unused;
  if (!on) return NULL;
  if (m->depth == m->room) {
    char *larger = (char *)realloc(m->before, (size_t)(2 * m->room + 8));
    if (!larger) return PyErr_NoMemory();
    m->before = larger;
    m->room = 2 * m->room + 8;
  }
  m->before[m->depth++] = (char)tf_set_grad_enabled((int32_t)PyLong_AsLong(on));
  Py_DECREF(on);
  Py_INCREF(self);
  return self;
}

static PyObject *mode_exit(PyObject *self, PyObject *const *unused, Py_ssize_t n) {
  tfpy_mode *m = (tfpy_mode *)self;
  (void)unused, (void)n;
  if (m->depth > 0) tf_set_grad_enabled(m->before[--m->depth]);
  Py_INCREF(Py_None);
  return Py_None;
}

static PyMethodDef mode_methods[] = {
    {"__enter__", mode_enter, METH_NOARGS, "Sets the mode."},
    {"__exit__", (PyCFunction)(void (*)(void))mode_exit, METH_FASTCALL, "Sets the mode back."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot mode_slots[] = {{Py_tp_doc, "Sets whether ops are recorded."},
                                   {Py_tp_dealloc, mode_dealloc},
                                   {Py_tp_init, mode_init},
                                   {Py_tp_methods, mode_methods},
                                   {0, NULL}};

static PyType_Spec mode_spec = {"tinyfin._native.GradMode", sizeof(tfpy_mode), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, mode_slots};
