//! Commands that are collected and sent together, as a pipeline or as a transaction.
//!
//! Invariant: the results are in the order of the commands; one that failed is an error in its
//! place, which is told apart from a reply by its class.

use crate::{building, error, reply};
use js_sys::Array;
use slotcar_core::{Command, Error, Reply, Value, cmd};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Commands to be sent together.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Batch {
    /// The commands, and the form of each one's reply.
    commands: Vec<(Command, u8)>,
}

#[wasm_bindgen]
impl Batch {
    /// Without commands.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a command with one argument.
    pub fn push1(&mut self, name: &str, first: &str, form: u8) {
        self.commands.push((cmd(name).arg(first), form));
    }

    /// Adds a command with two arguments.
    pub fn push2(&mut self, name: &str, first: &str, second: &str, form: u8) {
        self.commands.push((cmd(name).arg(first).arg(second), form));
    }

    /// Adds the command that was built.
    pub fn push(&mut self, form: u8) {
        self.commands.push((building::take(), form));
    }
}

impl Batch {
    /// Runs the commands; the results as an array.
    pub(crate) async fn run(
        self,
        client: slotcar_core::Client,
        atomic: bool,
    ) -> Result<JsValue, Error> {
        let mut forms = Vec::with_capacity(self.commands.len());
        let results = if atomic {
            let mut transaction = client.transaction();
            for (command, form) in self.commands {
                forms.push(form);
                transaction.push(command);
            }
            transaction.run_each().await?
        } else {
            let mut pipeline = client.pipeline();
            for (command, form) in self.commands {
                forms.push(form);
                pipeline.push(command);
            }
            pipeline.run_each().await?
        };
        let result = |(result, form): (Result<Reply, Error>, u8)| match result
            .and_then(|reply| reply.decode::<Value>())
        {
            Ok(value) => reply::to_js(&value, form),
            Err(error) => error::to_js(&error),
        };
        Ok(results.into_iter().zip(forms).map(result).collect::<Array>().into())
    }
}
