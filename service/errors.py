"""Everything that can go wrong for a caller, and the HTTP status of each: one table.

ServiceError 500
    InvalidRequestError 400            malformed protocol: not JSON, wrong types, shape against data
    UnsupportedMediaTypeError 415      a content type that no decoder takes
    PayloadTooLargeError 413           body over the limit
    InvalidSequenceError 422           well-formed input that does not fit the model
        NotFiniteError                 its answer is beyond float32
    NotFiniteOutputError 422           an answer that JSON has no number for; binary has
    UnfitTensorsError 422              well-formed tensors, or a sequence, that the graph can't take
    UnauthenticatedError 401           no API key, or none that is known
    ForbiddenError 403                 switched off by a setting, or beyond the key's scopes
        CrossSiteError                 a page of another site asks for it
    RequestTimeoutError 408            the request's head or body took too long to come
    MisdirectedError 421               for a name that this server does not go by
    HeaderTooLargeError 431            the request's head is over the limit
    QuotaExceededError 429             of the caller's key
        RateLimitedError               it asks too often
        ConcurrencyLimitedError        it has too much under way
    ModelNotFoundError 404             unknown model or version
        ModelGoneError                 it was unloaded between the request's head and its run
    BundleRefusedError 400             the bundle to be loaded is not as it should be
    ModelNotReadyError 503             loading, or refused at load
    QuarantinedError 503               a run of the model hung: it is left alone for a while
    OutOfMemoryError 503               a run needed more memory than the graphs may have
    StandsStillError 503               the storage of the model's files does not answer
    StorageError 507                   there is no room for the files of an upload
    OverloadedError 429                the queue is full, or the deadline can't be met
    DrainingError 503                  the server is stopping: try another replica
    CallerGoneError 499                the client closed its connection: counted, read by nobody
    InferenceTimeoutError 504          the request's deadline passed
    UnsupportedError 501               a part of a protocol that is not here
    InferenceError 500                 the graph failed on this batch (cause logged, not sent)

BundleError is not a ServiceError: it refuses a bundle at load, with its reason; UnreadableError is
the one that may be over though no file changes.
"""

from __future__ import annotations

MAX_REASON = 500  # characters of what onnxruntime says
MAX_MESSAGE = 4_000
"""Characters of a message and a field, which may quote what the caller sent."""


class ServiceError(Exception):
    """An error with a message for the caller.

    Args:
        message: What is wrong, in the caller's terms.
        field: Where in the request, such as `sequences[1][0]`; empty when it is no one field.
        retry_after_s: When to try again; default: the class's own, if any.
    """

    status_code = 500
    code = "internal"
    retry_after_s: int | None = None

    def __init__(self, message: str, field: str = "", retry_after_s: int | None = None) -> None:
        self.message = message[:MAX_MESSAGE]
        self.field = field[:MAX_MESSAGE]
        super().__init__(self.message)
        if retry_after_s is not None:
            self.retry_after_s = max(retry_after_s, 1)


class InvalidRequestError(ServiceError):
    """The request is not what the protocol says."""

    status_code = 400
    code = "invalid_request"


class UnsupportedMediaTypeError(ServiceError):
    """The content type is none that this endpoint reads."""

    status_code = 415
    code = "unsupported_media_type"


class PayloadTooLargeError(ServiceError):
    """The body is larger than `max_body_bytes`."""

    status_code = 413
    code = "payload_too_large"


class InvalidSequenceError(ServiceError):
    """The input is well formed but does not fit the model."""

    status_code = 422
    code = "invalid_sequence"


class NotFiniteInputError(InvalidSequenceError):
    """A value of the input is NaN or infinite, as where a measurement is missing."""


class NotFiniteError(InvalidSequenceError):
    """A sequence's answer is beyond float32.

    Args:
        model: Its name.
        field: Where the sequence is in the request.
    """

    def __init__(self, model: str, field: str) -> None:
        message = f"{field} has no finite answer: {model} computes with float32, "
        super().__init__(f"{message}which its values exceed", field)


class NotFiniteOutputError(ServiceError):
    """A tensor of the answer is NaN or infinite somewhere, and JSON was asked for.

    Args:
        name: Of the output.
    """

    status_code = 422
    code = "not_finite"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"output {name!r} has values that are NaN or infinite, which JSON has no number for: "
            "ask for it in binary",
            name,
        )


class UnsupportedError(ServiceError):
    """A part of a protocol that other servers have and this one has not."""

    status_code = 501
    code = "unsupported"


class UnfitTensorsError(ServiceError):
    """A graph failed on a request's own tensors, or on a sequence of it.

    Args:
        model: Its name.
        cause: What onnxruntime says.
        sequence: Where that is in the request; empty: it is about all tensors.
    """

    status_code = 422
    code = "unfit_tensors"

    def __init__(self, model: str, cause: Exception, sequence: str = "") -> None:
        reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        what = sequence or "these tensors"
        super().__init__(f"{model} can't take {what}: {reason[:MAX_REASON]}", sequence or "inputs")
        self.__cause__ = cause


class ModelNotFoundError(ServiceError):
    """No such model, or no such version of it."""

    status_code = 404
    code = "model_not_found"


class ModelGoneError(ModelNotFoundError):
    """The model was unloaded after the request had found it; its name may lead to another."""


class BundleRefusedError(ServiceError):
    """What was to be loaded is not as it should be; what served goes on serving."""

    status_code = 400
    code = "bundle_refused"


class UnauthenticatedError(ServiceError):
    """The caller has no API key, or none that is known."""

    status_code = 401
    code = "unauthenticated"


class ForbiddenError(ServiceError):
    """A setting forbids it, or the caller's key does not allow it."""

    status_code = 403
    code = "forbidden"


class CrossSiteError(ForbiddenError):
    """A page of another site would have its visitor's browser ask for it."""

    code = "cross_site"


class MisdirectedError(ServiceError):
    """The request is for a name that this server does not go by."""

    status_code = 421
    code = "misdirected"


class RequestTimeoutError(ServiceError):
    """A request that began to come did not come to its end in time."""

    status_code = 408
    code = "request_timeout"


class HeaderTooLargeError(ServiceError):
    """A request's head is larger than `max_header_bytes`."""

    status_code = 431
    code = "header_too_large"


class QuotaExceededError(ServiceError):
    """The caller's API key allows no more now."""

    status_code = 429
    code = "quota_exceeded"
    retry_after_s = 1


class RateLimitedError(QuotaExceededError):
    """The key asks more often than it may."""

    code = "rate_limited"


class ConcurrencyLimitedError(QuotaExceededError):
    """The key has as many requests under way as it may."""

    code = "concurrency_limited"


class ModelNotReadyError(ServiceError):
    """The model is still loading, or its bundle was refused."""

    status_code = 503
    code = "model_not_ready"
    retry_after_s = 1


class QuarantinedError(ServiceError):
    """A run of the model took longer than `max_hang_s`; for a while it gets nothing to run."""

    status_code = 503
    code = "model_quarantined"
    retry_after_s = 60


class OutOfMemoryError(ServiceError):
    """A run of the model needed more memory than there is for graphs."""

    status_code = 503
    code = "out_of_memory"
    retry_after_s = 1


class StorageError(ServiceError):
    """The files that a request brought can't be kept: the disk is full, or may not be written."""

    status_code = 507
    code = "no_storage"


class StandsStillError(ServiceError):
    """Reading a model's files has not come on for `storage_timeout_s`; it goes on by itself.

    Args:
        what: Was begun: `reading model.onnx`.
    """

    status_code = 503
    code = "storage_hangs"
    retry_after_s = 10

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} stands still: its disk or network share does not answer")


class OverloadedError(ServiceError):
    """The model's queue is full, or the deadline could not be met."""

    status_code = 429
    code = "overloaded"
    retry_after_s = 1


class DrainingError(ServiceError):
    """The server is stopping and takes no new work."""

    status_code = 503
    code = "draining"
    retry_after_s = 1


class CallerGoneError(ServiceError):
    """The client closed its connection before the answer; counted, read by nobody."""

    status_code = 499
    code = "cancelled"


class InferenceTimeoutError(ServiceError):
    """The request's deadline passed before its answer was ready."""

    status_code = 504
    code = "timeout"


class InferenceError(ServiceError):
    """The graph failed on the batch that held this request."""

    code = "inference_failed"


class BundleError(Exception):
    """Raised when a bundle is refused at load: truncated, tampered, newer schema, not invariant."""


class UnreadableError(BundleError):
    """Raised when a bundle's files can't be read now: it is to be tried again as they are."""


def forget_frames(error: BaseException) -> None:
    """Let go of the frames that an error, and what led to it, passed through.

    A future or a job that failed keeps its error, and the frame that raised it anew keeps the
    future or the job: a cycle, which holds a request's body and arrays until a full collection.
    """
    found: BaseException | None = error
    while found is not None and found.__traceback__ is not None:
        found.__traceback__ = None
        found = found.__cause__ or found.__context__
