//! Any text as a URL, and as a configuration in JSON.
//!
//! Checked: nothing panics; what is accepted comes back from its own URL and its own JSON as it
//! was; no error and no debug text shows the password.

use slotcar_core::Config;

/// A password that shows in a text only if it was put there.
const PASSWORD: &str = "hunter2hunter2";

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(config) = serde_json::from_str::<Config>(text) {
        check(&config);
    }
    match Config::from_url(text) {
        Ok(config) => check(&config),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    // The same with a password that must not be shown, behind the scheme.
    let Some((scheme, rest)) = text.split_once("://") else { return };
    let secret = format!("{scheme}://:{PASSWORD}@{rest}");
    match Config::from_url(&secret) {
        Ok(config) => assert!(!format!("{config:?}").contains(PASSWORD)),
        Err(error) => {
            // Twice in the text: it may be the host then, or a value, which errors show.
            let shown = format!("{error} {error:?}").contains(PASSWORD);
            assert!(!shown || rest.contains(PASSWORD), "{error}");
        }
    }
}

fn check(config: &Config) {
    let _ = format!("{config:?}");
    let valid = config.validate().is_ok();
    let json = serde_json::to_string(config).expect("a configuration has no other keys");
    let back = serde_json::from_str::<Config>(&json);
    assert!(!valid || back.as_ref().is_ok_and(|back| back == config), "{json}: {back:?}");
    if let Ok(url) = config.to_url() {
        assert_eq!(Config::from_url(&url).as_ref(), Ok(config), "{url}");
    }
}
