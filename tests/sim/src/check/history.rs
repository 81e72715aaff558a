//! Compares what callers asked and got with what servers executed.
//!
//! The workload fills the history while a run lasts; it is judged when the run is over.

use super::order::{Reigns, Write};
use super::{Deployment, Report, Sim};
use crate::failure::Failure;
use crate::sim::Executed;
use slotcar::{Delivery, Error, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How much later than its deadline a call may end.
const DEADLINE_TOLERANCE: Duration = Duration::from_millis(5);

/// How a call ended.
#[derive(Clone, Debug)]
enum End {
    /// With a reply.
    Answered,
    /// With an error.
    Failed(Error),
    /// It was dropped before it ended.
    Cancelled,
}

/// One call.
#[derive(Debug)]
struct Call {
    /// The request, for the text of a finding.
    text: String,
    /// The mark of its write; `None` for a read.
    token: Option<String>,
    /// When it was made.
    start: Timestamp,
    /// When it has to end.
    deadline: Timestamp,
    /// How and when it ended.
    end: Option<(Timestamp, End)>,
}

/// All calls of a run, and the errors found in their replies.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Shared with the tasks that make the calls.
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// In the order in which they were made.
    calls: Vec<Call>,
    /// Errors found while the run lasts.
    findings: Vec<String>,
}

impl History {
    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call; returns its number.
    pub(super) fn begin(
        &self,
        text: impl Into<String>,
        token: Option<&str>,
        start: Timestamp,
        timeout: Duration,
    ) -> usize {
        let mut shared = self.lock();
        shared.calls.push(Call {
            text: text.into(),
            token: token.map(str::to_owned),
            start,
            deadline: start.after(timeout),
            end: None,
        });
        shared.calls.len() - 1
    }

    /// Records that a call ended with a reply or an error.
    pub(super) fn end<T>(&self, call: usize, now: Timestamp, result: &Result<T, Error>) {
        let end = match result {
            Ok(_) => End::Answered,
            Err(error) => End::Failed(error.clone()),
        };
        self.finish(call, now, end);
    }

    /// Records that a call was dropped.
    pub(super) fn cancel(&self, call: usize, now: Timestamp) {
        self.finish(call, now, End::Cancelled);
    }

    fn finish(&self, number: usize, now: Timestamp, end: End) {
        let mut shared = self.lock();
        let call = &mut shared.calls[number];
        let twice = call.end.replace((now, end)).is_some();
        let text = call.text.clone();
        if twice {
            shared.findings.push(format!("{text} ended twice"));
        }
    }

    /// Records another error.
    pub(super) fn find(&self, finding: String) {
        self.lock().findings.push(finding);
    }

    /// Compares what callers got with what servers executed.
    pub(super) fn judge(&self, sim: &Sim, deployment: Deployment) -> Result<Report, Failure> {
        let mut runs: BTreeMap<String, usize> = BTreeMap::new();
        for executed in sim.executed() {
            let token = String::from_utf8_lossy(&executed.token).into_owned();
            *runs.entry(token).or_default() += 1;
        }
        let shared = self.lock();
        let mut findings = shared.findings.clone();
        for call in &shared.calls {
            let count = call.token.as_ref().map(|token| runs.get(token).copied().unwrap_or(0));
            findings.extend(judge_call(call, count));
        }
        if deployment == Deployment::Sentinel {
            findings.extend(judge_order(&shared.calls, sim));
        }
        if !findings.is_empty() {
            return Err(Failure::Broken { findings });
        }
        let failed = shared
            .calls
            .iter()
            .filter(|call| matches!(call.end, Some((_, End::Failed(_)))))
            .count();
        let time = sim.now().since_epoch();
        Ok(Report { calls: shared.calls.len(), failed, time, hash: sim.trace_hash() })
    }
}

/// Writes that went back to a primary of an earlier failover than one that had answered before they
/// were made. The client had newer knowledge then.
fn judge_order(calls: &[Call], sim: &Sim) -> Vec<String> {
    let reigns = Reigns::of(&sim.opinions());
    let executed = sim.executed();
    let by_token: BTreeMap<&[u8], &Executed> = executed.iter().map(|e| (&*e.token, e)).collect();
    let ran = |call: &Call| by_token.get(call.token.as_ref()?.as_bytes()).copied();
    let write = |call: &Call| {
        let ran = ran(call)?;
        let answered = match &call.end {
            Some((at, End::Answered)) => Some(*at),
            _ => None,
        };
        Some(Write { server: &ran.server, made: call.start, ran: ran.at, answered })
    };
    let (calls, writes): (Vec<&Call>, Vec<Write<'_>>) =
        calls.iter().filter_map(|call| Some((call, write(call)?))).unzip();
    let reported = |index: usize| {
        let (text, at) = (&calls[index].text, writes[index].made.since_epoch());
        format!("{text} (made at {at:?}) went back to {}", writes[index].server)
    };
    reigns.went_back(&writes).into_iter().map(reported).collect()
}

/// The error of one call, whose write was executed `runs` times.
fn judge_call(call: &Call, runs: Option<usize>) -> Vec<String> {
    let mut findings = Vec::new();
    let text = &call.text;
    let at = call.start.since_epoch();
    let mut find = |what: String| findings.push(format!("{text} (made at {at:?}) {what}"));
    let Some((ended, end)) = &call.end else {
        find("never ended".to_owned());
        return findings;
    };
    let late = ended.since(call.deadline);
    if late > DEADLINE_TOLERANCE {
        find(format!("ended {late:?} after its deadline: {end:?}"));
    }
    let Some(runs) = runs else { return findings };
    if runs > 1 {
        find(format!("ran {runs} times"));
    }
    match end {
        End::Answered if runs == 0 => find("got a reply and never ran".to_owned()),
        End::Failed(error) if runs > 0 && !error.delivery().may_have_run() => {
            find(format!("ran, but its error says {:?}: {error}", error.delivery()));
        }
        // An error of the command itself comes from a command that was executed without effect.
        End::Failed(error)
            if runs == 0
                && error.delivery() == Delivery::Answered
                && error.server_error().is_none() =>
        {
            find(format!("never ran, but its error is a reply: {error}"));
        }
        _ => {}
    }
    findings
}
