//! Test certificates: an authority, and certificates that it signs for servers and clients.
//!
//! Everything is PEM text, as users have it. [`Pem`] writes the files that a server needs for TLS
//! and gives its configuration lines, for servers, sentinels and clusters.
//! **Limit**: keys are of the curve P-256, which every server and client here speaks.

use std::fs;
use std::net::Ipv4Addr;

use super::scratch;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// The TLS port of a server with the lines of [`Pem::listening`], which also has a plain port. All
/// servers have the same: each has an address of its own.
pub const TLS_PORT: u16 = 6390;

/// Signs certificates.
#[derive(Debug)]
pub struct Authority {
    /// Its own certificate, which clients trust.
    pem: String,
    /// The key that signs.
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate, its key, and the authority that a server shall trust.
#[derive(Clone, Debug)]
pub struct Pem {
    /// The certificate.
    pub chain: String,
    /// Its private key.
    pub key: String,
    /// The authority that the server trusts.
    pub authority: String,
}

impl Authority {
    /// A new authority; two with the same name do not trust each other.
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("the machine has entropy");
        let mut params = CertificateParams::new(Vec::new()).expect("no names, no bad names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("it signs itself").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// Its own certificate, which clients trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these host names and addresses.
    pub fn sign(&self, names: &[&str]) -> Pem {
        self.issue(names, 4000)
    }

    /// The same, but expired.
    pub fn sign_expired(&self, names: &[&str]) -> Pem {
        self.issue(names, 2020)
    }

    /// A certificate for every address of a loopback block, such as [`super::address::fresh`] gives
    /// out.
    pub fn sign_block(&self, of: Ipv4Addr) -> Pem {
        let [a, b, c, _] = of.octets();
        let names: Vec<String> = (1..=250).map(|last| format!("{a}.{b}.{c}.{last}")).collect();
        self.sign(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn issue(&self, names: &[&str], until: i32) -> Pem {
        self.sign_changed(names, |params| params.not_after = date_time_ymd(until, 1, 1))
    }

    /// A certificate that differs from a usual one.
    pub fn sign_changed(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pem {
        let key = KeyPair::generate().expect("the machine has entropy");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the test names hosts");
        params.not_after = date_time_ymd(4000, 1, 1);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("it signs");
        Pem { chain: certificate.pem(), key: key.serialize_pem(), authority: self.pem.clone() }
    }

    /// Its own certificate and key, as a server has them that was given the wrong files.
    pub fn own(&self) -> Pem {
        let (chain, authority) = (self.pem.clone(), self.pem.clone());
        Pem { chain, key: self.issuer.key().serialize_pem(), authority }
    }

    /// An authority whose certificate this one has signed. `is_ca`: it may sign others.
    pub fn intermediate(&self, name: &str, is_ca: bool) -> Authority {
        let key = KeyPair::generate().expect("the machine has entropy");
        let mut params = CertificateParams::new(Vec::new()).expect("no names, no bad names");
        params.distinguished_name.push(DnType::CommonName, name);
        let constraints = IsCa::Ca(BasicConstraints::Unconstrained);
        params.is_ca = if is_ca { constraints } else { IsCa::ExplicitNoCa };
        let pem = params.signed_by(&key, &self.issuer).expect("it signs").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }
}

impl Pem {
    /// Configuration lines of a server that also listens for TLS, on [`TLS_PORT`]. The harness uses
    /// the plain port. Clients need no certificate unless `tls-auth-clients yes` follows.
    pub fn listening(&self) -> String {
        let folder = scratch::folder("certificates");
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            path.display().to_string()
        };
        format!(
            "tls-port {TLS_PORT}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n\
             tls-auth-clients no\n",
            file("chain.pem", &self.chain),
            file("key.pem", &self.key),
            file("authority.pem", &self.authority)
        )
    }

    /// The same for a node of a cluster, which also uses TLS towards the other nodes: only then do
    /// nodes announce their TLS ports to clients. Needs 7.0.
    pub fn clustered(&self) -> String {
        // The harness introduces nodes by their plain ports, which decide where the bus must be.
        let bus = "tls-cluster yes\ntls-replication yes\ncluster-port 1{port}\n";
        format!("{}{bus}", self.listening())
    }
}
