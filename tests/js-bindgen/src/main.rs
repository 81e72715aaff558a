//! Turns a `.wasm` that was built for wasm32-unknown-unknown into a module for JavaScript hosts.
//!
//! ```text
//! slotcar-js-bindgen INPUT.wasm FOLDER web     a module whose `init` takes the WebAssembly
//! slotcar-js-bindgen INPUT.wasm FOLDER node    a module that reads the WebAssembly when imported
//! ```
//!
//! Writes `NAME.js`, `NAME_bg.wasm` and their types into FOLDER; NAME is that of the input.
//!
//! Invariant: the version of wasm-bindgen is that of the project's workspace; if it is not, the run
//! fails and says so.
//! Limit: only these two forms, both as ES modules.

use std::path::Path;
use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

const USAGE: &str = "usage: slotcar-js-bindgen INPUT.wasm FOLDER web|node";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [input, folder, form] => generate(Path::new(input), Path::new(folder), form),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Reads `input` and writes the module into `folder`.
fn generate(input: &Path, folder: &Path, form: &str) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    let chosen = match form {
        "web" => bindgen.web(true),
        "node" => bindgen.nodejs_module(true),
        _ => return Err(USAGE.to_owned()),
    };
    chosen
        .and_then(|bindgen| bindgen.input_path(input).generate(folder))
        .map_err(|error| format!("{}: {error:#}", input.display()))
}
