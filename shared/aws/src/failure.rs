//! From SDK errors to port errors, without anything that an item or a message held.
//!
//! A service's error message may repeat the request (a validation error quotes values, a failed condition returns the
//! item), so no SDK error is ever kept as a source: only its code, HTTP status and request id are, with which AWS
//! support finds the rest.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use ports::PortError;
use std::fmt;

/// What is kept of a failed call.
#[derive(Debug, thiserror::Error)]
pub struct CallFailed {
    kind: Kind,
    code: Option<String>,
    http_status: Option<u16>,
    request_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NotBuilt,
    TimedOut,
    NotDispatched,
    UnreadableAnswer,
    Refused,
    Other,
}

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::NotBuilt => "the request could not be built",
            Kind::TimedOut => "no answer in time",
            Kind::NotDispatched => "the connection failed",
            Kind::UnreadableAnswer => "the answer could not be read",
            Kind::Refused => "the service refused",
            Kind::Other => "the call failed",
        })?;
        if let Some(code) = &self.code {
            write!(f, ", code {code}")?;
        }
        if let Some(status) = self.http_status {
            write!(f, ", http status {status}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        Ok(())
    }
}

/// Service codes that stand for *later*, whatever HTTP status they come with.
const LATER: [&str; 12] = [
    "InternalServerError",
    "InternalFailure",
    "LimitExceededException",
    "OverLimit",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
    "KmsThrottled",
];

impl CallFailed {
    fn is_retryable(&self) -> bool {
        let later = self.code.as_deref().is_some_and(|code| LATER.contains(&code));
        match self.kind {
            Kind::NotBuilt => false,
            Kind::TimedOut | Kind::NotDispatched | Kind::UnreadableAnswer => true,
            Kind::Refused | Kind::Other => later || self.http_status.is_some_and(|status| status >= 500),
        }
    }
}

/// The part of an SDK error that may be logged.
pub fn describe<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> CallFailed {
    let kind = match error {
        SdkError::ConstructionFailure(_) => Kind::NotBuilt,
        SdkError::TimeoutError(_) => Kind::TimedOut,
        SdkError::DispatchFailure(_) => Kind::NotDispatched,
        SdkError::ResponseError(_) => Kind::UnreadableAnswer,
        SdkError::ServiceError(_) => Kind::Refused,
        _ => Kind::Other,
    };
    let response = error.raw_response();
    CallFailed {
        kind,
        code: error.code().map(str::to_owned),
        http_status: response.map(|r| r.status().as_u16()),
        request_id: response.and_then(|r| r.headers().get("x-amzn-requestid")).map(str::to_owned),
    }
}

/// The port error for a failed call: *unavailable* when the same call may succeed later, *broken* otherwise.
pub(crate) fn port_error<E: ProvideErrorMetadata>(
    attempted: &'static str,
    error: &SdkError<E, HttpResponse>,
) -> PortError {
    let failed = describe(error);
    if failed.is_retryable() {
        PortError::unavailable(attempted, failed)
    } else {
        PortError::broken(attempted, failed)
    }
}
