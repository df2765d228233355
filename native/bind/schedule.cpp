#include <algorithm>

#include "bind/bind.hpp"
#include "schedule/cells.hpp"
#include "schedule/sequences.hpp"

namespace seqserve {

namespace py = pybind11;

namespace {

JobPtr make_job(const std::vector<Floats>& sequences, long priority, double timeout_s) {
  std::vector<float> values;
  std::vector<long> lengths;
  long num_features = 0;
  for (const auto& sequence : sequences) {
    if (sequence.ndim() != 2) throw py::value_error("a sequence is (time, features)");
    values.insert(values.end(), sequence.data(), sequence.data() + sequence.size());
    lengths.push_back(sequence.shape(0));
    num_features = sequence.shape(1);
  }
  return std::make_shared<Job>(std::move(values), lengths, num_features, priority, timeout_s);
}

Floats logits_of(const Job& job) {
  auto rows = static_cast<py::ssize_t>(job.sequences.size());
  auto classes = static_cast<py::ssize_t>(job.logits.size()) / std::max<py::ssize_t>(rows, 1);
  Floats logits({rows, classes});
  std::copy(job.logits.begin(), job.logits.end(), logits.mutable_data());
  return logits;
}

std::vector<Floats> weights_of(const Job& job) {
  std::vector<Floats> weights;
  for (const auto& row : job.weights) {
    weights.emplace_back(static_cast<py::ssize_t>(row.size()), row.data());
  }
  return weights;
}

// A run's tensors (inputs, lengths, and state if any), in the workspace's own memory.
py::tuple tensors(const Scheduler& scheduler, const Run& run, const py::object& workspace) {
  auto& room = workspace.cast<Workspace&>();
  long rows = run.num_rows();
  py::list arrays;
  arrays.append(py::array_t<float>({rows, run.num_steps, scheduler.num_features},
                                   room.inputs.data(), workspace));
  arrays.append(py::array_t<std::int64_t>({rows}, room.lengths.data(), workspace));
  if (auto* cells = dynamic_cast<const CellScheduler*>(&scheduler)) {
    for (std::size_t index = 0; index < cells->state().size(); ++index) {
      std::vector<py::ssize_t> shape{rows};
      for (long axis : cells->state()[index].shape) shape.push_back(axis);
      arrays.append(py::array_t<float>(shape, room.state[index].data(), workspace));
    }
  }
  return py::tuple(arrays);
}

std::vector<StateSpec> specs(const std::vector<std::pair<std::vector<long>, float>>& state) {
  std::vector<StateSpec> made;
  for (const auto& [shape, initial] : state) made.emplace_back(shape, initial);
  return made;
}

void bind_job(py::module_& module) {
  py::class_<Sequence, SequencePtr>(module, "Sequence")
      .def_property_readonly("job", [](const Sequence& it) { return it.job->shared_from_this(); })
      .def_readonly("position", &Sequence::position)
      .def_readonly("left", &Sequence::left)
      .def_readonly("slot", &Sequence::slot);
  py::class_<Job, JobPtr>(module, "Job", py::dynamic_attr())
      .def(py::init(&make_job), py::arg("sequences"), py::arg("priority"), py::arg("timeout_s"))
      .def_readwrite("submitted_s", &Job::submitted_s)
      .def_readonly("deadline_s", &Job::deadline_s)
      .def_readonly("due_s", &Job::due_s)
      .def_readonly("priority", &Job::priority)
      .def_readonly("num_cells", &Job::num_cells)
      .def_readonly("work_s", &Job::work_s)
      .def_readwrite("gone", &Job::gone)
      .def_readonly("request_id", &Job::request_id)
      .def_readonly("waited_s", &Job::waited_s)
      .def_readwrite("keep_alive", &Job::keep_alive)
      .def_property_readonly("logits", &logits_of)
      .def_property_readonly("weights", &weights_of)
      .def_property_readonly("num_sequences", [](const Job& job) { return job.sequences.size(); })
      .def_property_readonly("sequences", [](Job& job) {
        std::vector<SequencePtr> sequences;
        for (std::size_t row = 0; row < job.sequences.size(); ++row) {
          sequences.push_back(job.sequence(row));
        }
        return sequences;
      });
}

void bind_run(py::module_& module) {
  py::class_<Workspace>(module, "Workspace").def(py::init<>());
  py::class_<Run, RunPtr>(module, "Run")
      .def_property_readonly("sequences", [](const Run& run) { return run.sequences; })
      .def_readonly("counts", &Run::counts)
      .def_readonly("num_steps", &Run::num_steps)
      .def_readonly("num_real", &Run::num_real)
      .def_property_readonly("num_rows", &Run::num_rows)
      .def_readwrite("cpu_s", &Run::cpu_s)
      .def_readwrite("elapsed_s", &Run::elapsed_s);
}

void bind_tally(py::module_& module) {
  py::class_<Distribution, std::shared_ptr<Distribution>>(module, "Distribution")
      .def(py::init<std::vector<double>>(), py::arg("bounds"))
      .def("observe", &Distribution::observe)
      .def("counts", &Distribution::counts)
      .def("total", &Distribution::total);
  py::class_<RunTally, std::shared_ptr<RunTally>>(module, "RunTally")
      .def(py::init<std::vector<double>, std::vector<double>>(), py::arg("seconds"),
           py::arg("rows"))
      .def_readonly("queue_s", &RunTally::queue_s)
      .def_readonly("compute_s", &RunTally::compute_s)
      .def_readonly("rows", &RunTally::rows)
      .def_property_readonly("cpu_s", [](const RunTally& it) { return it.cpu_s.value(); })
      .def_property_readonly("predicted_s",
                             [](const RunTally& it) { return it.predicted_s.value(); })
      .def_property_readonly("misprediction_s",
                             [](const RunTally& it) { return it.misprediction_s.value(); })
      .def_property_readonly("real_cells", [](const RunTally& it) { return it.real_cells.value(); })
      .def_property_readonly("padded_cells",
                             [](const RunTally& it) { return it.padded_cells.value(); });
}

}  // namespace

Outputs outputs_of(const Floats& logits, const std::optional<Floats>& weights,
                   const std::vector<Floats>& state) {
  Outputs outputs{logits.data(), static_cast<long>(logits.shape(1)), nullptr, {}};
  if (weights) outputs.weights = weights->data();
  for (const auto& tensor : state) outputs.state.push_back(tensor.data());
  return outputs;
}

void bind_schedule(py::module_& module) {
  bind_tally(module);
  bind_job(module);
  bind_run(module);
  module.attr("PATIENCE") = kPatience;
  py::class_<CostTable, std::shared_ptr<CostTable>>(module, "CostTable")
      .def(py::init<std::vector<std::vector<double>>, long, long>(), py::arg("seconds"),
           py::arg("stride"), py::arg("max_steps"))
      .def("predict", &CostTable::predict, py::arg("rows"), py::arg("steps"))
      .def("longest", &CostTable::longest, py::arg("rows"), py::arg("max_s"))
      .def("observe", &CostTable::observe, py::arg("rows"), py::arg("steps"), py::arg("cpu_s"))
      .def_property_readonly("cell_s", &CostTable::cell_s)
      .def_property_readonly("max_rows", &CostTable::max_rows)
      .def_property_readonly("max_steps", &CostTable::max_steps);
  py::class_<Bounds>(module, "Bounds")
      .def(py::init<long, long, double, long, long, double, long, long>(),
           py::arg("engine_threads"), py::arg("max_batch_size"), py::arg("max_run_s"),
           py::arg("chunk_steps"), py::arg("max_active_sequences"), py::arg("max_padding_ratio"),
           py::arg("max_queue_size"), py::arg("max_queue_cells"));
  py::class_<Scheduler, SchedulerPtr>(module, "Scheduler")
      .def_property_readonly("num_waiting", &Scheduler::num_waiting)
      .def_property_readonly("num_active", &Scheduler::num_active)
      .def_property_readonly("next_due", &Scheduler::next_due)
      .def_property_readonly("pool", [](const Scheduler& it) { return it.pool(); })
      .def("enqueue", &Scheduler::enqueue)
      .def("forget", &Scheduler::forget)
      .def("take", &Scheduler::take)
      .def("prepare", &Scheduler::prepare)
      .def("tensors", &tensors)
      .def("complete",
           [](Scheduler& it, const Run& run, const Floats& logits,
              const std::optional<Floats>& weights, const std::vector<Floats>& state) {
             return it.complete(run, outputs_of(logits, weights, state));
           })
      .def("fail", &Scheduler::fail);
  py::class_<CellScheduler, Scheduler, std::shared_ptr<CellScheduler>>(module, "CellScheduler")
      .def(py::init([](const Bounds& bounds, std::shared_ptr<CostTable> cost,
                       std::shared_ptr<RunTally> tally, long num_features,
                       const std::vector<std::pair<std::vector<long>, float>>& state) {
             return std::make_shared<CellScheduler>(bounds, std::move(cost), std::move(tally),
                                                    num_features, specs(state));
           }),
           py::arg("bounds"), py::arg("cost"), py::arg("tally"), py::arg("num_features"),
           py::arg("state"))
      .def_property_readonly("free_slots", &CellScheduler::free_slots);
  py::class_<SequenceScheduler, Scheduler, std::shared_ptr<SequenceScheduler>>(module,
                                                                               "SequenceScheduler")
      .def(py::init<const Bounds&, std::shared_ptr<CostTable>, std::shared_ptr<RunTally>, long>(),
           py::arg("bounds"), py::arg("cost"), py::arg("tally"), py::arg("num_features"))
      .def("cut", &SequenceScheduler::cut);
}

}  // namespace seqserve
