//! A link and the time: deadlines of entries, and a server that owes replies and sends nothing.
//!
//! ```text
//! ──progress──► heard ──SILENT_PART──► reported ──progress timeout──► silent ──dead──► lost
//!                 ▲                        │                            │
//!                 └──────────a byte, or it is found to be busy──────────┘
//! ```
//!
//! A server that runs one long command looks like one that is suspended, and like a network that
//! carries nothing: no byte comes, and none can be asked for. So silence alone fails no command
//! that has time left. A silent link takes no more commands, its watch asks the server over another
//! link, and other nodes are asked about it, again and again. It is lost as soon as the server
//! answers over the other link and has nothing to do for this one, as soon as the topology has
//! replaced the node, and when no caller waits any more.
//!
//! **Invariants**: no entry fails before its deadline while its server may be busy with it, unless
//! another node can answer it; a link without a watch, or without callers, is lost after the
//! progress timeout.

use super::{Io, finding};
use crate::connection::outcome::Lost;
use crate::connection::queue::Taken;
use crate::connection::wakers::wake_all;
use crate::driver::link::silence_watch::Silence;
use crate::lock::lock;
use crate::time::Timestamp;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

/// A server is reported as silent after this part of the progress timeout. That is early enough for
/// other nodes to be asked about it before the link takes no more commands.
const SILENT_PART: u32 = 4;
/// How often it is reported again while it stays silent, at least.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

impl Io {
    /// Fails entries past their deadline and sets the timer. True if the timer has fired.
    pub(super) fn check_time(&mut self, earliest: Timestamp) -> Result<bool, Lost> {
        if self.silence.is_some() {
            self.watch_silence()?;
        }
        let (suspected_at, silent_at) = match self.progress_timeout {
            Some(timeout)
                if self.reply_owed && !self.status.reading_paused.load(Ordering::Relaxed) =>
            {
                (self.last_progress.after(timeout / SILENT_PART), self.last_progress.after(timeout))
            }
            _ => (Timestamp::FAR_FUTURE, Timestamp::FAR_FUTURE),
        };
        let next_silence = match &self.silence {
            Some(silence) => silence.report_at,
            None if self.silence_reported => silent_at,
            None => suspected_at,
        };
        let next = earliest.min(next_silence);
        if next == Timestamp::FAR_FUTURE {
            return Ok(false);
        }
        // The waker was called, and not by the timer if its time has not come.
        if !self.registered.timer
            && let Some(at) = self.sleep.as_ref().map(|(at, _)| *at)
        {
            self.registered.timer = self.now() < at;
        }
        // A registered timer that fires first wakes the driver, so the clock need not be read.
        let sleep = match &mut self.sleep {
            Some((at, _)) if *at <= next && self.registered.timer => return Ok(false),
            Some((at, sleep)) if *at <= next => sleep,
            sleep => &mut sleep.insert((next, self.transport.sleep_until(next))).1,
        };
        if sleep.as_mut().poll(&mut Context::from_waker(&self.waker)).is_pending() {
            self.registered.timer = true;
            return Ok(false);
        }
        self.sleep = None;
        self.registered.timer = false;
        let now = self.transport.now();
        self.turn_time = Some(now);
        if now >= next_silence {
            self.report_silence(now, now >= silent_at)?;
        }
        self.handle_deadlines(now)?;
        Ok(true)
    }

    fn handle_deadlines(&mut self, now: Timestamp) -> Result<(), Lost> {
        let taken = Taken { bytes: &mut self.out, sent: self.sent, written: self.written };
        let is_awaited = {
            let mut queue = lock(&self.queue);
            queue.handle_timeout(now, taken, &mut self.wakers);
            self.reply_owed &= queue.is_reply_owed();
            self.status.in_flight.store(queue.in_flight(), Ordering::Relaxed);
            queue.has_callers()
        };
        wake_all(&mut self.wakers);
        if self.silence.is_some() && !is_awaited {
            return Err(self.no_progress());
        }
        Ok(())
    }

    /// The server has been silent for long enough to tell others. `is_silent`: for the whole
    /// progress timeout.
    #[cold]
    fn report_silence(&mut self, now: Timestamp, is_silent: bool) -> Result<(), Lost> {
        let part = self.progress_timeout.unwrap_or_default() / SILENT_PART;
        self.silence_reported = true;
        self.triggers.report_server_silent();
        let report_at = now.after(part.min(REPORT_INTERVAL));
        if let Some(silence) = &mut self.silence {
            silence.report_at = report_at;
        } else if is_silent {
            let watch = self.status.silence_watch.get().cloned();
            let watch = watch.ok_or_else(|| self.no_progress())?;
            let cause = self.no_progress();
            let is_awaited = {
                let mut queue = lock(&self.queue);
                let is_awaited = queue.begin_silence(cause, self.written, &mut self.wakers);
                if is_awaited {
                    self.status.finding.store(finding::NONE, Ordering::Relaxed);
                    self.status.closed.store(true, Ordering::Release);
                }
                is_awaited
            };
            wake_all(&mut self.wakers);
            if !is_awaited {
                return Err(self.no_progress());
            }
            let (since, watch) = (self.last_progress, Some(watch.ask()));
            self.registered.watch = false;
            self.silence = Some(Silence { since, report_at, watch });
        }
        Ok(())
    }

    /// Polls the watch of a silent link, and does what it found out.
    #[cold]
    fn watch_silence(&mut self) -> Result<(), Lost> {
        if let Some(silence) = &mut self.silence
            && !self.registered.watch
            && let Some(mut watch) = silence.watch.take()
            && watch.as_mut().poll(&mut Context::from_waker(&self.waker)) == Poll::Pending
        {
            silence.watch = Some(watch);
            self.registered.watch = true;
        }
        match self.status.finding.swap(finding::NONE, Ordering::AcqRel) {
            finding::DEAD => return Err(self.no_progress()),
            finding::BUSY => self.last_progress = self.now(),
            _ => {}
        }
        if self.silence.as_ref().is_some_and(|silence| self.last_progress > silence.since) {
            self.end_silence();
        }
        Ok(())
    }

    /// The server has sent or accepted something, or is known to be busy.
    #[cold]
    pub(super) fn end_silence(&mut self) {
        self.silence_reported = false;
        let Some(silence) = self.silence.take() else { return };
        let was_silent = {
            let mut queue = lock(&self.queue);
            let was_silent = queue.end_silence();
            if was_silent {
                self.status.closed.store(false, Ordering::Release);
            }
            was_silent
        };
        drop(silence);
        if was_silent && let Some(watch) = self.status.silence_watch.get() {
            watch.handle_progress();
        }
    }

    /// The cause of the loss of a link whose server is silent.
    pub(super) fn no_progress(&self) -> Lost {
        Lost::NoProgress(self.progress_timeout.unwrap_or_default())
    }
}
