//! Where a client's reads go: views of a client, the switch at run time, and the node for a read on
//! the straight path.
//!
//! Invariants: a view shares all connections with its client; a switch is in force for every call
//! that is polled first after it; a client whose policy is `Primary` pays one test for each
//! command.

use super::client::Client;
use crate::command::Command;
use crate::config::ReadFrom;
use crate::driver::attempt::item::Item;
use crate::driver::discovery::routes::Routes;
use crate::driver::node::in_flight_guard::InFlightGuard;
use crate::driver::replica::policy::{ReadSettings, SelectionMode};
use crate::driver::replica::read::{self, ResumeFrom};
use crate::driver::replica::select::{self, SelectionContext, select_node};
use crate::driver::replica::shard_lookup;
use crate::features::READ_POLICIES;
use std::sync::Arc;
use std::time::Duration;

impl Client {
    /// A view of this client with another read policy. Costs a clone; connections are shared.
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    /// use slotcar::prelude::*;
    /// use slotcar::ReadFrom;
    /// let name: Option<String> = client.with_read_from(ReadFrom::Replica).get("name").await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_read_from(&self, policy: ReadFrom) -> Self {
        let settings =
            ReadSettings { policy, ..ReadSettings::clone(&self.current_read_settings()) };
        Self { read_settings: Some(Arc::new(settings)), ..self.clone() }
    }

    /// A view of this client whose reads accept data of at most this age, or of any; see
    /// [`Config::max_staleness`](crate::Config::max_staleness). It keeps the present read policy.
    #[must_use]
    pub fn with_max_staleness(&self, max_staleness: impl Into<Option<Duration>>) -> Self {
        let max_staleness = max_staleness.into();
        let settings =
            ReadSettings { max_staleness, ..ReadSettings::clone(&self.current_read_settings()) };
        Self { read_settings: Some(Arc::new(settings)), ..self.clone() }
    }

    /// Changes the read policy of this client and its clones, except for views that have their own.
    /// In force for every call that is polled first after this returns; no connection is made or
    /// closed, and calls in flight end where they are.
    pub fn set_read_from(&self, policy: ReadFrom) {
        let settings =
            ReadSettings { policy, ..ReadSettings::clone(&self.shared.reads.settings()) };
        self.shared.reads.set(settings);
    }

    /// The read policy of this client, or of this view of it.
    #[must_use]
    pub fn read_from(&self) -> ReadFrom {
        self.current_read_settings().policy.clone()
    }

    /// The read settings in force for this view.
    pub(super) fn current_read_settings(&self) -> Arc<ReadSettings> {
        self.read_settings.clone().unwrap_or_else(|| self.shared.reads.settings())
    }

    /// The read settings; `None` if every read goes to the primary.
    #[inline]
    pub(super) fn non_primary_read_settings(&self) -> Option<Arc<ReadSettings>> {
        if self.selection_mode() == SelectionMode::Primary {
            return None;
        }
        Some(self.current_read_settings()).filter(|settings| !settings.is_primary())
    }

    /// How this view selects a node for a read.
    #[inline]
    fn selection_mode(&self) -> SelectionMode {
        self.read_settings.as_ref().map_or_else(
            || self.shared.reads.selection_mode(),
            |settings| settings.selection_mode(),
        )
    }

    /// The node that the read policy selects for a command; `None` if the policy does not govern
    /// it. An error says from where the slow path continues.
    #[inline]
    pub(super) fn node_by_policy(
        &self,
        command: &Command,
    ) -> Option<Result<InFlightGuard, ResumeFrom>> {
        let guard = match self.selection_mode() {
            SelectionMode::Primary => return None,
            _ if !READ_POLICIES => return Some(Err(ResumeFrom::Start)),
            SelectionMode::Table => None,
            SelectionMode::LessLoadedReplica => self.less_loaded_node(command, false),
            SelectionMode::LessLoaded => self.less_loaded_node(command, true),
        };
        guard.map(Ok).or_else(|| self.node_by_table(command))
    }

    /// The node for an ordinary read in a shard of one or two candidates that are healthy.
    fn less_loaded_node(&self, command: &Command, among_all: bool) -> Option<InFlightGuard> {
        if !read::is_ordinary_read(command) {
            return None;
        }
        let shared = &self.shared;
        let routes = shared.topology.routes();
        let shard = shard_lookup::shard_of(&routes, command)?;
        let now = shared.env.recent_time();
        let node =
            select::select_less_loaded(&routes, shard, among_all, (now, shared.reads.silent()))?;
        Some(InFlightGuard::timed(node, now))
    }

    /// The node for any read, under any policy. A read that the policy cannot serve at all is left
    /// to the slow path, which returns the error.
    #[inline(never)]
    fn node_by_table(&self, command: &Command) -> Option<Result<InFlightGuard, ResumeFrom>> {
        let settings = self.non_primary_read_settings()?;
        if let Ok(false) = read::governs(&settings, Item::whole(command)) {
            return None;
        }
        Some(self.select_by_table(&self.shared.topology.routes(), command, &settings))
    }

    fn select_by_table(
        &self,
        routes: &Arc<Routes>,
        command: &Command,
        settings: &Arc<ReadSettings>,
    ) -> Result<InFlightGuard, ResumeFrom> {
        let env = &self.shared.env;
        let shard = shard_lookup::shard_of(routes, command).ok_or(ResumeFrom::Start)?;
        let now = env.now();
        let context = SelectionContext { settings, tried: &[], capped: false, now };
        if read::is_cursor(command) || select::must_check_first(env, routes, shard, &context) {
            return Err(ResumeFrom::Start);
        }
        let node = select_node(env, routes, shard, &context)?;
        Ok(InFlightGuard::timed(node, now))
    }
}
