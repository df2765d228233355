"""The Open Inference Protocol over gRPC, beside HTTP; but for `port`, it needs the extra `grpc`."""
