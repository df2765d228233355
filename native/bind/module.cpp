#include "bind/bind.hpp"

PYBIND11_MODULE(native, module) {
  module.doc() = "Seqserve's schedulers, engine and lane: what runs for every request.";
  seqserve::bind_schedule(module);
  seqserve::bind_engine(module);
  seqserve::bind_lane(module);
  seqserve::bind_security(module);
}
