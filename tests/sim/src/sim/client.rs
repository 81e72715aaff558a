//! Creates slotcar's own client in a simulation.
//!
//! The simulator works without it: any code that uses `Transport` can be tested. These are the few
//! lines with which every test of an application starts.

use super::Sim;
use slotcar::config::Deployment;
use slotcar::{Client, Config, Endpoint, Error};

impl Sim {
    /// A configuration that finds this deployment by its servers' names. The names stay valid when
    /// servers move to other addresses.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut names = self.servers();
        let sentinels = self.sentinels();
        if !sentinels.is_empty() {
            names = sentinels;
        }
        let endpoint = |name: &String| Endpoint::tcp(&format!("{name}.sim"), self.port(name));
        let mut endpoints: Vec<Endpoint> = names.iter().map(endpoint).collect();
        if self.is_cluster() {
            return Config::default().deployment(Deployment::Cluster).endpoints(endpoints);
        }
        if let Some(service) = self.service() {
            let (username, password, tls) = (None, None, None);
            let deployment = Deployment::Sentinel { service, username, password, tls };
            return Config::default().deployment(deployment).endpoints(endpoints);
        }
        let replicas = endpoints.split_off(1);
        Config::default().endpoints(endpoints).replicas(replicas)
    }

    /// A client on the host named `client`.
    ///
    /// # Errors
    /// Those of [`Client::connect`].
    pub async fn client(&self, config: Config) -> Result<Client, Error> {
        Client::connect(self.transport(), config).await
    }

    fn port(&self, server: &str) -> u16 {
        self.with_server(server, |server| server.address.port())
    }

    /// Whether the servers are nodes of a cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        self.shared.with_world(|world| world.fleet.servers().any(|s| s.cluster.is_some()))
    }
}
