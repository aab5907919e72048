// The Python module statewise._native: every kernel of the .def files as a function.
//
// Pointers are passed as whole numbers (tensor.data_ptr(), 0 for null). The caller answers for shapes; the
// callers are in src/statewise/ops. The interpreter lock is released while a kernel runs.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <tuple>
#include <utility>

#include "dispatch.h"

bool add_step_type(PyObject* module);

namespace {

template <class T>
bool read(PyObject* from, T& value) {
    if constexpr (std::is_pointer_v<T>) {
        value = static_cast<T>(PyLong_AsVoidPtr(from));
    } else if constexpr (std::is_floating_point_v<T>) {
        value = static_cast<T>(PyFloat_AsDouble(from));
    } else {
        value = static_cast<T>(PyLong_AsLongLong(from));
    }
    return PyErr_Occurred() == nullptr;
}

template <class... Args, size_t... Index>
PyObject* call(void (*kernel)(Args...), PyObject* const* given, std::index_sequence<Index...>) {
    std::tuple<std::remove_const_t<Args>...> values;
    if (!(read(given[Index], std::get<Index>(values)) && ...)) return nullptr;
    Py_BEGIN_ALLOW_THREADS
    kernel(std::get<Index>(values)...);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

template <class... Args>
PyObject* take(const char* name, void (*kernel)(Args...), PyObject* const* given, Py_ssize_t count) {
    if (count != static_cast<Py_ssize_t>(sizeof...(Args))) {
        PyErr_Format(PyExc_TypeError, "%s: got %zd arguments, want %zu.", name, count, sizeof...(Args));
        return nullptr;
    }
    return call(kernel, given, std::index_sequence_for<Args...>{});
}

#define KERNEL(name, ...)                                                                    \
    PyObject* py_##name(PyObject*, PyObject* const* given, Py_ssize_t count) {               \
        return take(#name, statewise::name, given, count);                                   \
    }
#include "kernels.inc"
#undef KERNEL

PyObject* py_target(PyObject*, PyObject*) { return PyUnicode_FromString(statewise::target()); }

PyObject* py_vendor(PyObject*, PyObject*) { return PyUnicode_FromString(statewise::vendor()); }

PyMethodDef methods[] = {
    {"target", py_target, METH_NOARGS, "The instruction set in use: \"avx512\", \"avx2\" or \"plain\"."},
    {"vendor", py_vendor, METH_NOARGS, "Who made the processor: \"intel\", \"amd\" or \"other\"."},
#define KERNEL(name, ...) \
    {#name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(py_##name)), METH_FASTCALL, #__VA_ARGS__},
#include "kernels.inc"
#undef KERNEL
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "Statewise's compiled kernels.", 0, methods,
                      nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() {
    PyObject* made = PyModule_Create(&module);
    if (made == nullptr || add_step_type(made)) return made;
    Py_DECREF(made);
    return nullptr;
}
