#include "engine/engine.hpp"

#include <cmath>

#include "bind/bind.hpp"

namespace seqserve {

namespace py = pybind11;

namespace {

using WithoutPython = py::call_guard<py::gil_scoped_release>;

// Wait for a run and put its tensors in place, without Python's lock.
std::optional<Taken> next(Engine& engine, Workspace& workspace) {
  auto taken = engine.next();
  if (taken) {
    taken->second->begin();
    taken->first->prepare(*taken->second, workspace);
    taken->second->be_prepared();
  }
  return taken;
}

void complete(Engine& engine, const Taken& taken, const std::vector<py::array>& tensors,
              const std::vector<Floats>& state) {
  Outputs outputs = outputs_of(tensors, state);
  py::gil_scoped_release released;
  taken.second->end();
  engine.complete(taken, outputs);
}

// The same of a run that was made anew in parts: the jobs of the rows that failed again.
std::vector<JobPtr> complete_apart(Engine& engine, const Taken& taken,
                                   const std::vector<py::array>& tensors,
                                   const std::vector<Floats>& state,
                                   const std::vector<std::size_t>& failed) {
  Outputs outputs = outputs_of(tensors, state);
  py::gil_scoped_release released;
  taken.second->is_usual = false;
  taken.second->end();
  return engine.complete(taken, outputs, failed);
}

}  // namespace

py::object error_of(const Refusal& refusal) {
  auto errors = py::module_::import("service.errors");
  bool is_known = std::isfinite(refusal.retry_after_s);
  py::object retry_after_s = py::none();
  if (is_known) retry_after_s = py::int_(static_cast<long>(std::ceil(refusal.retry_after_s)));
  switch (refusal.kind) {
    case Refusal::Kind::kGone:
      return errors.attr("ModelGoneError")(refusal.message, "name");
    case Refusal::Kind::kQuarantined:
      return errors.attr("QuarantinedError")(refusal.message, "name", retry_after_s);
    default:
      return errors.attr("OverloadedError")(refusal.message, "", retry_after_s);
  }
}

void raise_if(const std::optional<Refusal>& refusal) {
  if (!refusal) return;
  py::object error = error_of(*refusal);
  PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
  throw py::error_already_set();
}

void bind_engine(py::module_& module) {
  module.attr("CAUTION") = kCaution;
  py::class_<Backlog>(module, "Backlog")
      .def(py::init<long>(), py::arg("num_threads"))
      .def_property_readonly("wait_s", &Backlog::wait_s)
      .def("note_lag", &Backlog::note_lag)
      .def("add", &Backlog::add)
      .def("remove", &Backlog::remove);
  py::class_<Admission>(module, "Admission")
      .def(py::init<std::string, const Scheduler&, Backlog&>(), py::keep_alive<1, 3>(),
           py::keep_alive<1, 4>())
      .def("enter",
           [](Admission& it, Job& job, double timeout_s) { raise_if(it.enter(job, timeout_s)); })
      .def("leave", &Admission::leave);
  py::class_<Engine>(module, "Engine")
      .def(py::init<long>(), py::arg("num_threads"))
      .def("add", &Engine::add)
      .def("remove", &Engine::remove, WithoutPython())
      .def("num_waiting", &Engine::num_waiting)
      .def("fill", &Engine::fill)
      .def("check_room",
           [](const Engine& it, double timeout_s) { raise_if(it.refuses(timeout_s)); })
      .def("note_lag", &Engine::note_lag)
      .def("submit", [](Engine& it, const SchedulerPtr& scheduler, const JobPtr& job,
                        double timeout_s) { raise_if(it.submit(scheduler, job, timeout_s)); })
      .def("give_up", &Engine::give_up)
      .def("expire", &Engine::expire)
      .def("give_up_all", &Engine::give_up_all)
      .def_property_readonly("next_deadline_s", &Engine::next_deadline_s)
      .def("collect", &Engine::collect)
      .def("give_up_failed", &Engine::give_up_failed)
      .def_property_readonly("ready_fd", &Engine::ready_fd)
      .def("close", &Engine::close)
      .def_property_readonly("is_closed", &Engine::is_closed)
      .def("next", &next, WithoutPython())
      .def("take", &Engine::take, WithoutPython())
      .def("complete", &complete)
      .def("complete_apart", &complete_apart)
      .def("fail", &Engine::fail, WithoutPython());
}

}  // namespace seqserve
