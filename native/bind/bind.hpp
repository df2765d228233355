// The parts of the Python module `service.native`; its types are told in service/native.pyi.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "engine/admission.hpp"
#include "schedule/scheduler.hpp"

namespace seqserve {

using Floats = pybind11::array_t<float, pybind11::array::c_style | pybind11::array::forcecast>;

void bind_schedule(pybind11::module_& module);
void bind_engine(pybind11::module_& module);
void bind_lane(pybind11::module_& module);
void bind_security(pybind11::module_& module);

// The service's error that says so.
pybind11::object error_of(const Refusal& refusal);
// Raise it, if there is a refusal.
void raise_if(const std::optional<Refusal>& refusal);

// A graph's outputs; the arrays must outlive it.
Outputs outputs_of(const std::vector<pybind11::array>& tensors, const std::vector<Floats>& state);

}  // namespace seqserve
