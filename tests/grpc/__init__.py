"""The Open Inference Protocol over gRPC: real servers, asked by Triton's and gRPC's own clients."""
