//! Makes one error of the errors of a command's parts.
//!
//! **Invariants**: pure; the delivery is that of the part about which least is certain; the cause
//! is the first part's error.

use crate::error::{Delivery, Error, ErrorDetail, PartFailure};

/// The error of a command of which `succeeded` parts succeeded and the others failed; `None` if no
/// part failed. A command with one part fails with that part's own error.
pub(crate) fn partial(succeeded: usize, errors: Vec<Error>) -> Option<Error> {
    if errors.len() <= 1 && succeeded == 0 {
        return errors.into_iter().next();
    }
    let first = errors.first()?.clone();
    let mut failed: Vec<PartFailure> = Vec::new();
    for error in &errors {
        let endpoint = error.endpoint().cloned();
        let (kind, delivery) = (error.kind(), error.delivery());
        let mut known = failed.iter_mut();
        match known.find(|f| (f.kind, f.delivery) == (kind, delivery) && f.endpoint == endpoint) {
            Some(failure) => failure.parts += 1,
            None => failed.push(PartFailure { endpoint, kind, delivery, parts: 1 }),
        }
    }
    let done = if succeeded > 0 { Delivery::Answered } else { Delivery::NotSent };
    let delivery = errors.iter().map(Error::delivery).fold(done, worse);
    let attempts = errors.iter().map(Error::attempts).max().unwrap_or_default();
    let message = format!("{} of {} parts failed", errors.len(), succeeded + errors.len());
    let mut error = Error::new(first.kind(), delivery, message)
        .with_detail(ErrorDetail::Partial { succeeded, failed })
        .with_attempts(attempts);
    if let Some(server) = first.server_error() {
        error = error.with_server_error(server.clone());
    }
    if let Some(endpoint) = first.endpoint() {
        error = error.with_endpoint(endpoint);
    }
    Some(error.with_cause(first))
}

/// The delivery of both together: if one part may have run, so may the command.
fn worse(one: Delivery, other: Delivery) -> Delivery {
    let rank = |delivery| match delivery {
        Delivery::NotSent => 0,
        Delivery::Refused => 1,
        Delivery::Answered => 2,
        Delivery::Unknown => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;
    use crate::error::ErrorKind;
    use std::error::Error as _;

    fn failed(port: u16, delivery: Delivery) -> Error {
        Error::new(ErrorKind::Connect, delivery, "gone").with_endpoint(&Endpoint::tcp("h", port))
    }

    #[test]
    fn no_failure_is_no_error_and_a_single_part_speaks_for_itself() {
        assert!(partial(2, Vec::new()).is_none());
        assert!(partial(0, Vec::new()).is_none());
        let alone = partial(0, vec![failed(1, Delivery::NotSent)]).unwrap();
        assert_eq!((alone.to_string(), alone.details()), ("gone: h:1".to_owned(), None));
    }

    /// Failures are counted by node, and the worst delivery is the whole's.
    #[test]
    fn failures_are_told_by_node() {
        use Delivery::{Answered, NotSent, Refused, Unknown};
        let errors = vec![failed(1, NotSent), failed(2, Refused), failed(1, NotSent)];
        let error = partial(1, errors).unwrap();
        let part = |port, delivery, parts| PartFailure {
            endpoint: Some(Endpoint::tcp("h", port)),
            kind: ErrorKind::Connect,
            delivery,
            parts,
        };
        let failed_parts = vec![part(1, NotSent, 2), part(2, Refused, 1)];
        let detail = ErrorDetail::Partial { succeeded: 1, failed: failed_parts };
        assert_eq!(error.details(), Some(&detail));
        assert_eq!(error.to_string(), "3 of 4 parts failed: h:1");
        assert_eq!(error.source().unwrap().to_string(), "gone: h:1");
        let table = [
            (1, vec![NotSent], Answered),
            (0, vec![NotSent, NotSent], NotSent),
            (0, vec![NotSent, Refused], Refused),
            (5, vec![Unknown, Refused], Unknown),
        ];
        for (succeeded, deliveries, expected) in table {
            let errors = deliveries.iter().map(|d| failed(1, *d)).collect();
            assert_eq!(partial(succeeded, errors).unwrap().delivery(), expected);
        }
    }
}
