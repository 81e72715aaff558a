//! The client's handle, and how it begins: `connect`, calls, views, `close`.
//!
//! Calls with one or two arguments of text, which are most, have an export each, so that they cross
//! into the module once. Invariant: dropping a handle sends nothing; connections close when the
//! last handle, call and subscription has gone, or by `close`.

use crate::batch::Batch;
use crate::canceller::Settle;
use crate::subscription::Subscription;
use crate::{building, error, reply, topology};
use js_sys::Function;
use slotcar_core::{Command, Config, ReadFrom, Value, cmd};
use slotcar_js::Js;
use std::time::Duration;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// A client, or a view of one.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Client {
    /// The client.
    client: slotcar_core::Client,
}

/// Connects to the servers that `url` names, through the host's `connect`. With a topology that an
/// earlier client kept, it connects at the first command.
#[wasm_bindgen]
pub fn open(url: String, connect: Function, known: JsValue, resolve: Function, reject: Function) {
    Settle { resolve, reject }.with(async move {
        let config = Config::from_url(&url)?;
        let transport = Js::new(connect);
        let client = if known.is_undefined() {
            slotcar_core::Client::connect(transport, config).await?
        } else {
            slotcar_core::Client::with_topology(transport, config, &topology::from_js(&known)?)?
        };
        Ok(Client { client }.into())
    });
}

#[wasm_bindgen]
impl Client {
    /// Sends a command with one argument.
    pub fn send1(&self, name: &str, first: &str, form: u8, resolve: Function, reject: Function) {
        self.run(cmd(name).arg(first), form, Settle { resolve, reject });
    }

    /// Sends a command with two arguments.
    pub fn send2(
        &self,
        name: &str,
        first: &str,
        second: &str,
        form: u8,
        resolve: Function,
        reject: Function,
    ) {
        self.run(cmd(name).arg(first).arg(second), form, Settle { resolve, reject });
    }

    /// Sends the command that was built.
    pub fn send(&self, form: u8, resolve: Function, reject: Function) {
        self.run(building::take(), form, Settle { resolve, reject });
    }

    /// Sends the commands of a batch together, as a transaction if `atomic`.
    pub fn exec(&self, batch: Batch, atomic: bool, resolve: Function, reject: Function) {
        Settle { resolve, reject }.with(batch.run(self.client.clone(), atomic));
    }

    /// A view with another timeout in milliseconds, unless it is not a number, and another read
    /// policy, if one is named.
    ///
    /// # Errors
    /// `Config` for a policy that does not exist.
    pub fn view(
        &self,
        timeout_ms: f64,
        read_from: Option<String>,
        max_staleness_ms: f64,
    ) -> Result<Self, JsValue> {
        let mut client = self.client.clone();
        if !timeout_ms.is_nan() {
            client = client.with_timeout(Duration::from_secs_f64(timeout_ms / 1e3));
        }
        if let Some(policy) = read_from {
            let policy = ReadFrom::try_from(policy);
            let policy = policy.map_err(|text| error::config(&format!("readFrom: {text}")))?;
            client = client.with_read_from(policy);
        }
        if !max_staleness_ms.is_nan() {
            let bound = Duration::from_secs_f64(max_staleness_ms / 1e3);
            client = client.with_max_staleness(bound);
        }
        Ok(Self { client })
    }

    /// A subscription without channels; they are added to it.
    ///
    /// # Errors
    /// `Closed` after `close`.
    pub fn subscribe(&self, as_bytes: bool) -> Result<Subscription, JsValue> {
        Subscription::start(&self.client, as_bytes)
    }

    /// What the client knows of the deployment, as plain data.
    pub fn topology(&self) -> JsValue {
        topology::to_js(&self.client.topology())
    }

    /// Closes the client and all its views.
    pub fn close(&self) {
        self.client.close();
    }
}

impl Client {
    fn run(&self, command: Command, form: u8, settle: Settle) {
        let client = self.client.clone();
        settle.with(async move {
            client.send::<Value>(command).await.map(|value| reply::to_js(&value, form))
        });
    }
}
