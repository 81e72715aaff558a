//! Errors of modules, alone, in pipelines, in transactions and inside of replies.
//!
//! **Invariant**: a module's words are its command's own, in whatever code: it ran, and once.

use super::{in_both_protocols, words};
use slotcar::prelude::*;
use slotcar::{Delivery, Error, ErrorKind};

/// What is sent, and what the module answers.
const ERRORS: [(&str, &str); 12] = [
    ("JSON.GET s", "Existing key has wrong Redis type"),
    ("JSON.SET new $.a 1", "ERR new objects must be created at the root"),
    ("JSON.SET new $ {", "EOF while parsing an object at line 1 column 1"),
    ("FT.SEARCH none x", "none: no such index"),
    ("FT.CREATE idx ON HASH SCHEMA a TEXT", "Index already exists"),
    ("FT.SEARCH idx x NOSUCH", "Unknown argument `NOSUCH` at position 1 for <main>"),
    ("TS.CREATE t", "ERR TSDB: key already exists"),
    ("TS.ADD t x 1", "ERR TSDB: invalid timestamp"),
    ("TS.RANGE none - +", "ERR TSDB: the key does not exist"),
    ("BF.RESERVE f 0.01 10", "ERR item exists"),
    ("BF.ADD s x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("BF.RESERVE g 7 10", "ERR (0 < error rate range < 1) "),
];

/// An answer of the command at its first attempt.
#[track_caller]
fn is_an_answer(error: &Error, text: &str, line: &str) {
    let said = error.server_error().map(ToString::to_string);
    assert_eq!(said.as_deref(), Some(text), "{line}: {error}");
    let seen = (error.kind(), error.delivery(), error.attempts() <= 1);
    assert_eq!(seen, (ErrorKind::Server, Delivery::Answered, true), "{line}: {error:?}");
}

#[test]
fn a_module_answers_in_its_own_words() {
    in_both_protocols(async |client, _| {
        client.set("s", "text").await?;
        client.send::<()>(words("FT.CREATE idx ON HASH SCHEMA a TEXT")).await?;
        client.send::<()>(words("TS.CREATE t")).await?;
        client.send::<()>(words("BF.RESERVE f 0.01 10")).await?;
        for (line, text) in ERRORS {
            let before = calls(client, line).await?;
            let error = client.send::<()>(words(line)).await.expect_err(line);
            is_an_answer(&error, text, line);
            let pipeline = client.pipeline().add(words(line)).add(words("GET s"));
            let results = pipeline.run_each().await?;
            is_an_answer(results[0].as_ref().expect_err(line), text, line);
            assert_eq!(results[1].as_ref().expect("it ran").decode::<String>()?, "text");
            let transaction = client.transaction().add(words(line)).add(words("GET s"));
            let results = transaction.run_each().await?;
            is_an_answer(results[0].as_ref().expect_err(line), text, line);
            assert_eq!(results[1].as_ref().expect("it ran").decode::<String>()?, "text");
            assert_eq!(calls(client, line).await? - before, 3, "{line}: each was sent once");
        }
        Ok(())
    });
}

/// One series of several is refused: the others have their replies.
#[test]
fn an_error_inside_of_a_reply_is_that_elements() {
    in_both_protocols(async |client, _| {
        client.send::<()>(words("TS.CREATE t")).await?;
        let reply: slotcar::Value = client.send(words("TS.MADD t 1000 1 none 1000 1")).await?;
        let each = reply.as_slice().expect("a list");
        assert_eq!(each[0].as_i64(), Some(1000));
        let error = client.send::<Vec<i64>>(words("TS.MADD t 2000 1 none 2000 1")).await;
        let error = error.expect_err("an error among numbers").to_string();
        assert!(error.contains("the key is not a TSDB key"), "{error}");
        Ok(())
    });
}

/// How often the server has run a command, with an error or without.
async fn calls(client: &slotcar::Client, line: &str) -> Result<i64, Error> {
    let name = line.split(' ').next().unwrap_or_default();
    let info = client.info("commandstats").await?;
    let stats = info.lines().find_map(|stats| {
        let (found, numbers) = stats.strip_prefix("cmdstat_")?.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(numbers)
    });
    let calls = stats.and_then(|numbers| numbers.split(',').next()?.strip_prefix("calls="));
    Ok(calls.map_or(0, |calls| calls.parse().expect("a number")))
}
