#include <stdexcept>

#include "bind/bind.hpp"
#include "security/quota.hpp"

namespace seqserve {

namespace py = pybind11;

namespace {

// A quota whose words are in a buffer, such as a mapped file, that lives as long.
struct BufferQuota {
  BufferQuota(py::buffer given, std::size_t num_processes, std::size_t process, QuotaLimits limits)
      : buffer(std::move(given)),
        info(buffer.request(true)),
        quota(words(), num_processes, process, limits) {
    if (static_cast<std::size_t>(info.size * info.itemsize) <
            sizeof(std::int64_t) * (1 + num_processes) ||
        process >= num_processes) {
      throw std::invalid_argument("the buffer is too short for so many processes");
    }
  }
  std::int64_t* words() const { return static_cast<std::int64_t*>(info.ptr); }

  py::buffer buffer;
  py::buffer_info info;
  Quota quota;
};

}  // namespace

void bind_security(py::module_& module) {
  py::class_<BufferQuota>(module, "Quota")
      .def(py::init([](py::buffer buffer, std::size_t num_processes, std::size_t process,
                       double requests_per_s, double burst, long max_concurrent) {
             return new BufferQuota(std::move(buffer), num_processes, process,
                                    QuotaLimits{requests_per_s, burst, max_concurrent});
           }),
           py::kw_only(), py::arg("words"), py::arg("num_processes"), py::arg("process"),
           py::arg("requests_per_s"), py::arg("burst"), py::arg("max_concurrent"))
      .def(
          "take", [](BufferQuota& it, std::int64_t now_ns) { return it.quota.take(now_ns); },
          py::arg("now_ns"))
      .def("leave", [](BufferQuota& it) { it.quota.leave(); });
}

}  // namespace seqserve
