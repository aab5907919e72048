// The Python type `Steps`: a step program over arrays that the caller owns (see statewise.streaming.stepper).
//
// `step(x, state, out, threads)` looks at the arrays on every call; `bind(x, state, out, threads)` looks once and
// gives a function without arguments. Arrays stay locked (no resizing) while a function is bound to them.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "../include/statewise.h"

namespace {

constexpr size_t LARGE = size_t{1} << 18;
constexpr int64_t LONG = 1 << 19;  // multiply-adds from which a call lets other Python threads run

// Zeroed. Large blocks lie on large pages: the processor then finds them without looking up 4 KB at a time, and
// their lines spread evenly over its caches.
void* aligned(size_t bytes) {
    const size_t page = bytes < LARGE ? 64 : size_t{1} << 21;
    const size_t whole = (bytes + page) / page * page;
    void* found = std::aligned_alloc(page, whole);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (found != nullptr && bytes >= LARGE) madvise(found, whole, MADV_HUGEPAGE);
#endif
    if (found != nullptr) std::memset(found, 0, bytes);
    return found;
}

struct Scratch {
    std::atomic_flag busy = ATOMIC_FLAG_INIT;  // one call at a time: two threads take turns
    void* memory = nullptr;
    size_t bytes = 0;

    bool grow(size_t needed) {
        if (needed <= bytes) return true;
        std::free(memory);
        memory = aligned(needed);
        bytes = memory == nullptr ? 0 : needed;
        return memory != nullptr;
    }
    ~Scratch() { std::free(memory); }
};

struct Steps {
    PyObject_HEAD
    PyObject* program;  // bytes
    PyObject* error;    // what is raised
    void* memory;
    sw_step* step;
    Scratch* scratch;
};

struct Arrays {
    Py_buffer x, state, out;
    int64_t rows;
};

struct Bound {
    PyObject_HEAD
    Steps* steps;
    Arrays arrays;
    int64_t threads;
    Scratch* scratch;
};

PyTypeObject* bound_type = nullptr;

const char* type_name(const Py_buffer& view) {
    const char* format = view.format == nullptr ? "B" : view.format;
    const struct { const char *format, *name; } known[] = {
        {"f", "float32"}, {"d", "float64"}, {"e", "float16"}, {"l", "int64"}, {"q", "int64"},
        {"i", "int32"},   {"?", "bool"},    {"B", "uint8"},   {"b", "int8"},  {"h", "int16"}};
    for (const auto& one : known)
        if (std::strcmp(one.format, format) == 0) return one.name;
    return format;
}

PyObject* shape_text(const Py_buffer& view) {
    PyObject* text = PyUnicode_FromString("[");
    for (int axis = 0; text != nullptr && axis < view.ndim; ++axis) {
        PyObject* longer = PyUnicode_FromFormat(axis ? "%U, %zd" : "%U%zd", text, view.shape[axis]);
        Py_DECREF(text);
        text = longer;
    }
    PyObject* closed = text == nullptr ? nullptr : PyUnicode_FromFormat("%U]", text);
    Py_XDECREF(text);
    return closed;
}

bool wrong_shape(PyObject* error, const char* name, const Py_buffer& view, int64_t size) {
    PyObject* shape = shape_text(view);
    if (shape != nullptr)
        PyErr_Format(error, "stepper: %s: got %s %U, want float32 [B, %lld], or [%lld] for one session.", name,
                     type_name(view), shape, (long long)size, (long long)size);
    Py_XDECREF(shape);
    return false;
}

bool contiguous(const Py_buffer& view) {
    Py_ssize_t step = view.itemsize;
    for (int axis = view.ndim - 1; axis >= 0; --axis) {
        if (view.shape[axis] > 1 && view.strides != nullptr && view.strides[axis] != step) return false;
        step *= view.shape[axis];
    }
    return true;
}

// Reads one array; `rows` is set by the first and wanted of the others.
bool take(PyObject* error, PyObject* from, const char* name, int64_t size, bool writable, int64_t& rows,
          Py_buffer& view) {
    if (PyObject_GetBuffer(from, &view, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
        PyErr_Clear();
        PyObject* type = PyType_GetName(Py_TYPE(from));
        if (type != nullptr)
            PyErr_Format(error, "stepper: %s: got %U, want a float32 array [B, %lld].", name, type, (long long)size);
        Py_XDECREF(type);
        return false;
    }
    const bool fits = view.itemsize == 4 && std::strcmp(type_name(view), "float32") == 0 &&
                      (view.ndim == 1 || view.ndim == 2) && view.shape[view.ndim - 1] == size;
    bool good = fits || wrong_shape(error, name, view, size);
    if (good && !contiguous(view)) {
        good = false;
        PyErr_Format(error, "stepper: %s: got an array with gaps, want it in one piece: np.ascontiguousarray.", name);
    }
    if (good && writable && view.readonly) {
        good = false;
        PyErr_Format(error, "stepper: %s: got a read-only array, want one that can be changed: a copy.", name);
    }
    const int64_t found = view.ndim == 1 ? 1 : view.shape[0];
    if (good && rows >= 0 && found != rows) {
        good = false;
        PyErr_Format(error, "stepper: %s: got %lld rows, want %lld, as many as x.", name, (long long)found,
                     (long long)rows);
    }
    rows = found;
    if (!good) PyBuffer_Release(&view);
    return good;
}

bool apart(PyObject* error, const Py_buffer& a, const Py_buffer& b, const char* names) {
    const char *first = static_cast<const char*>(a.buf), *second = static_cast<const char*>(b.buf);
    if (a.len == 0 || b.len == 0 || first + a.len <= second || second + b.len <= first) return true;
    PyErr_Format(error, "stepper: %s share memory, want arrays of their own.", names);
    return false;
}

void release(Arrays& arrays) {
    PyBuffer_Release(&arrays.x);
    PyBuffer_Release(&arrays.state);
    PyBuffer_Release(&arrays.out);
}

bool take_all(const Steps* self, PyObject* const* given, Arrays& arrays) {
    int64_t rows = -1;
    if (!take(self->error, given[0], "x", sw_step_input_size(self->step), false, rows, arrays.x)) return false;
    arrays.rows = rows;
    if (!take(self->error, given[1], "state", sw_step_state_size(self->step), true, rows, arrays.state)) {
        PyBuffer_Release(&arrays.x);
        return false;
    }
    if (!take(self->error, given[2], "out", sw_step_output_size(self->step), true, rows, arrays.out)) {
        PyBuffer_Release(&arrays.x);
        PyBuffer_Release(&arrays.state);
        return false;
    }
    if (apart(self->error, arrays.x, arrays.state, "x and state") &&
        apart(self->error, arrays.x, arrays.out, "x and out") &&
        apart(self->error, arrays.state, arrays.out, "state and out"))
        return true;
    release(arrays);
    return false;
}

// Everything is checked; the lock is never held while waiting for the interpreter's.
bool run(const Steps* self, const Arrays& arrays, int64_t threads, Scratch& scratch) {
    const float* x = static_cast<const float*>(arrays.x.buf);
    float *state = static_cast<float*>(arrays.state.buf), *out = static_cast<float*>(arrays.out.buf);
    const auto go = [&] {
        while (scratch.busy.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
        const bool ready = scratch.grow(sw_step_scratch(self->step, arrays.rows, threads));
        if (ready) sw_step_run(self->step, x, state, out, arrays.rows, threads, scratch.memory);
        scratch.busy.clear(std::memory_order_release);
        return ready;
    };
    bool done;
    if (arrays.rows * sw_step_work(self->step) < LONG) {
        done = go();
    } else {
        Py_BEGIN_ALLOW_THREADS
        done = go();
        Py_END_ALLOW_THREADS
    }
    if (!done) PyErr_NoMemory();
    return done;
}

bool read_threads(PyObject* const* given, Py_ssize_t count, const char* name, int64_t& threads) {
    threads = 1;
    if (count != 3 && count != 4) {
        PyErr_Format(PyExc_TypeError, "%s: got %zd arguments, want x, state, out and, if wanted, threads.", name, count);
        return false;
    }
    if (count == 4) threads = PyLong_AsLongLong(given[3]);
    if (threads < 1) threads = 1;
    return PyErr_Occurred() == nullptr;
}

PyObject* steps_step(PyObject* object, PyObject* const* given, Py_ssize_t count) {
    const Steps* self = reinterpret_cast<Steps*>(object);
    Arrays arrays;
    int64_t threads;
    if (!read_threads(given, count, "step", threads) || !take_all(self, given, arrays)) return nullptr;
    const bool done = run(self, arrays, threads, *self->scratch);
    release(arrays);
    if (!done) return nullptr;
    Py_RETURN_NONE;
}

PyObject* bound_call(PyObject* object, PyObject*) {
    const Bound* self = reinterpret_cast<Bound*>(object);
    if (!run(self->steps, self->arrays, self->threads, *self->scratch)) return nullptr;
    Py_RETURN_NONE;
}

PyMethodDef bound_method = {"step", bound_call, METH_NOARGS, "One step of the bound arrays."};

PyObject* steps_bind(PyObject* object, PyObject* const* given, Py_ssize_t count) {
    Steps* self = reinterpret_cast<Steps*>(object);
    Arrays arrays;
    int64_t threads;
    if (!read_threads(given, count, "bind", threads) || !take_all(self, given, arrays)) return nullptr;
    const auto make = reinterpret_cast<allocfunc>(PyType_GetSlot(bound_type, Py_tp_alloc));
    Bound* bound = reinterpret_cast<Bound*>(make(bound_type, 0));
    Scratch* scratch = bound == nullptr ? nullptr : new (std::nothrow) Scratch;
    if (scratch == nullptr) {
        release(arrays);
        Py_XDECREF(reinterpret_cast<PyObject*>(bound));
        return PyErr_NoMemory();
    }
    Py_INCREF(object);
    bound->steps = self, bound->arrays = arrays, bound->threads = threads, bound->scratch = scratch;
    PyObject* function = nullptr;
    if (scratch->grow(sw_step_scratch(self->step, arrays.rows, threads)))
        function = PyCFunction_NewEx(&bound_method, reinterpret_cast<PyObject*>(bound), nullptr);
    else
        PyErr_NoMemory();
    Py_DECREF(reinterpret_cast<PyObject*>(bound));
    return function;
}

void bound_dealloc(PyObject* object) {
    Bound* self = reinterpret_cast<Bound*>(object);
    PyTypeObject* type = Py_TYPE(object);
    if (self->steps != nullptr) {
        release(self->arrays);
        delete self->scratch;
        Py_DECREF(reinterpret_cast<PyObject*>(self->steps));
    }
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

// Steps(program, error): `error` is the exception class that wrong arrays raise.
PyObject* steps_new(PyTypeObject* type, PyObject* given, PyObject*) {
    PyObject *program, *error;
    if (!PyArg_ParseTuple(given, "SO", &program, &error)) return nullptr;
    const char* data = PyBytes_AsString(program);
    const size_t bytes = static_cast<size_t>(PyBytes_Size(program));
    const size_t needed = sw_step_memory(data, bytes);
    if (needed == 0) {
        PyErr_Format(error, "stepper: got no sound step program: %s.", sw_step_problem(data, bytes));
        return nullptr;
    }
    Steps* self = reinterpret_cast<Steps*>(reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc))(type, 0));
    if (self == nullptr) return nullptr;
    self->memory = aligned(needed);
    self->scratch = new (std::nothrow) Scratch;
    if (self->memory == nullptr || self->scratch == nullptr) {
        Py_DECREF(reinterpret_cast<PyObject*>(self));
        return PyErr_NoMemory();
    }
    Py_INCREF(program);
    Py_INCREF(error);
    self->program = program, self->error = error;
    self->step = sw_step_create(data, bytes, self->memory);
    return reinterpret_cast<PyObject*>(self);
}

void steps_dealloc(PyObject* object) {
    Steps* self = reinterpret_cast<Steps*>(object);
    PyTypeObject* type = Py_TYPE(object);
    Py_XDECREF(self->program);
    Py_XDECREF(self->error);
    std::free(self->memory);
    delete self->scratch;
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

PyCFunction method(PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t)) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef steps_methods[] = {
    {"step", method(steps_step), METH_FASTCALL, "step(x, state, out, threads=1): one step, state changed in place."},
    {"bind", method(steps_bind), METH_FASTCALL, "bind(x, state, out, threads=1): a function that does one step."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot steps_slots[] = {
    {Py_tp_doc, const_cast<char*>("Steps(program, error): a step program, its weights packed for this machine.")},
    {Py_tp_new, reinterpret_cast<void*>(steps_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(steps_dealloc)},
    {Py_tp_methods, steps_methods},
    {0, nullptr},
};
PyType_Spec steps_spec = {"statewise._native.Steps", sizeof(Steps), 0, Py_TPFLAGS_DEFAULT, steps_slots};

PyType_Slot bound_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(bound_dealloc)}, {0, nullptr}};
PyType_Spec bound_spec = {"statewise._native.BoundSteps", sizeof(Bound), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, bound_slots};

}  // namespace

bool add_step_type(PyObject* module) {
    PyObject* steps = PyType_FromSpec(&steps_spec);
    bound_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&bound_spec));
    const bool added = steps != nullptr && bound_type != nullptr && PyModule_AddObjectRef(module, "Steps", steps) == 0;
    Py_XDECREF(steps);
    return added;
}
