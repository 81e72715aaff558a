//! The differences between the simulator and redis 8.0.2 that are meant.
//!
//! `docs/simulator.md` shows this table; a test compares them. Another test fails when a row's
//! requests are answered alike. Used by the tests of `beside_redis.rs`.

/// A difference that is meant.
pub(crate) struct Intended {
    /// The requests that may differ, as `cases.txt` writes them; `*` stands for anything.
    requests: &'static [&'static str],
    /// How their replies may differ.
    extent: Extent,
    /// What is different.
    pub(crate) what: &'static str,
    /// Why it is meant.
    why: &'static str,
}

/// How replies may differ. The data afterwards never differs.
enum Extent {
    /// In any way, but neither is an error.
    Values,
    /// The simulator refuses with an error that contains this text.
    Refusal(&'static str),
    /// In these parts of redis' reply, each with the simulator's text in its place.
    Parts(&'static [(&'static str, &'static str)]),
}

/// All of them.
pub(crate) const INTENDED: &[Intended] = &[
    Intended {
        requests: &["COMMAND", "COMMAND INFO*", "COMMAND DOCS*", "COMMAND LIST*", "COMMAND list"],
        extent: Extent::Values,
        what: "`COMMAND`, `COMMAND INFO`, `LIST` and `DOCS` tell of the commands that the \
               simulator has. Tips, groups, documentation and the flags of key specifications are \
               left out",
        why: "Names, numbers of arguments, flags and positions of keys are what clients read; a \
              test compares these for each command",
    },
    Intended {
        requests: &["EVAL*", "SCRIPT LOAD*"],
        extent: Extent::Refusal("the simulation does not know this script"),
        what: "A script runs if a closure was registered for its text, and is refused if not",
        why: "There is no Lua in the simulator",
    },
    Intended {
        requests: &["*HELLO*", "*MODULE *"],
        extent: Extent::Parts(&[
            (r#"*["name" "vectorset" "ver" :1 "path" "" "args" *[]]"#, ""),
            (r#"%["name" "vectorset" "ver" :1 "path" "" "args" *[]]"#, ""),
            ("*[text text text int text text text *[]]", ""),
            ("%[text text text int text text text *[]]", ""),
        ]),
        what: "`HELLO` and `MODULE LIST` name no module `vectorset`",
        why: "The simulator has none of its commands",
    },
    Intended {
        requests: &["SCAN *"],
        extent: Extent::Values,
        what: "Cursors of `SCAN` other than 0 have other values, and `COUNT` visits exactly so \
               many keys",
        why: "Cursors are the servers' own; those of the simulator find each key under changes",
    },
    Intended {
        requests: &["=CONFIG GET *", "=CONFIG GET * maxmemory-policy", "=CONFIG GET maxmemory *"],
        extent: Extent::Values,
        what: "`CONFIG` has no parameters for TLS, files, addresses of the machine, output buffers \
               and signals",
        why: "They say nothing about a simulated machine",
    },
    Intended {
        requests: &["ACL list"],
        extent: Extent::Refusal("unknown subcommand"),
        what: "What the second list names is refused",
        why: "The simulator has what the tests of applications need",
    },
    Intended {
        requests: &["MULTI ; CLIENT REPLY OFF ; EXEC*"],
        extent: Extent::Values,
        what: "`CLIENT REPLY OFF` in a transaction: redis sends the beginning of EXEC's reply, the \
               simulator nothing",
        why: "The rest of the connection cannot be read",
    },
];

/// The table for the page.
pub(crate) fn table() -> String {
    let mut text = String::from("| what is different | why |\n|---|---|\n");
    for Intended { what, why, .. } in INTENDED {
        text.push_str(&format!("| {what} | {why} |\n"));
    }
    text
}

impl Intended {
    /// Whether it is why the replies to a request differ.
    pub(crate) fn explains(&self, request: &str, redis: &str, simulator: &str) -> bool {
        let replace = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
        self.requests.iter().any(|pattern| matches(pattern, request))
            && match self.extent {
                Extent::Values => !redis.starts_with('-') && !simulator.starts_with('-'),
                Extent::Refusal(text) => simulator.contains(text),
                Extent::Parts(parts) => parts.iter().fold(redis.to_owned(), replace) == simulator,
            }
    }
}

/// Whether a text is like a pattern, in which `*` stands for anything. Behind `=` it is only
/// itself.
fn matches(pattern: &str, text: &str) -> bool {
    if let Some(exact) = pattern.strip_prefix('=') {
        return exact == text;
    }
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            rest.is_empty()
                || (0..=text.len())
                    .any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))
        }),
    }
}
