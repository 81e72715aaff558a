//! Draws which node answers the reads of one client while replicas and the primary come and go.
//!
//! A primary, two replicas and three sentinels are started; forty readers read under the policy
//! that is named, and every hundred milliseconds the servers say how many GETs they have run. What
//! is drawn is what they said.
//!
//! `cargo run --release -p slotcar-tests --example reads -- docs/reads.svg least_loaded:replicas`

#![allow(clippy::unwrap_used, reason = "as in the tests: a surprise ends it")]

use futures::future::join_all;
use slotcar::prelude::*;
use slotcar::{Client, Config};
use slotcar_tcp::Smol;
use slotcar_tests::real::{Sentinels, Server, Version};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long it is watched.
const LENGTH: Duration = Duration::from_secs(16);
/// Between two looks at the servers.
const STEP: Duration = Duration::from_millis(100);
/// What is done to the servers, and when.
const EVENTS: [(u64, &str); 4] = [
    (3, "a replica is killed"),
    (6, "it is back"),
    (9, "the primary is killed"),
    (13, "it is back, a replica"),
];

/// Width and height of the plot, and what is left of and above it.
const PLOT: (f64, f64, f64, f64) = (800.0, 240.0, 50.0, 60.0);
/// One for each node.
const COLOURS: [&str; 3] = ["#9fb3c8", "#d64500", "#f29a5f"];

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "target/reads.svg".to_owned());
    let policy = args.next().unwrap_or_else(|| "least_loaded:replicas".to_owned());
    let sentinels = Sentinels::of(&Version::any()).down_after_ms(1000).start();
    let url = format!("{}&read_from={policy}", sentinels.url());
    let config = Config::from_url(&url).unwrap();
    let client = smol::block_on(Client::connect(Smol::new(), config)).unwrap();
    let (stop, errors) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let readers = std::thread::spawn({
        let (stop, errors) = (stop.clone(), errors.clone());
        move || smol::block_on(read(&client, &stop, &errors))
    });
    let old = sentinels.primary().unwrap();
    let replica = (old + 1) % 3;
    let (began, mut last, mut rows) = (Instant::now(), [0; 3], Vec::new());
    let mut left = EVENTS.iter().enumerate();
    let mut next = left.next();
    while began.elapsed() < LENGTH {
        if let Some((event, (at, _))) = next
            && began.elapsed() >= Duration::from_secs(*at)
        {
            match event {
                0 => sentinels.server(replica).kill(),
                1 => sentinels.server(replica).restart(),
                2 => sentinels.server(old).kill(),
                _ => sentinels.server(old).restart(),
            }
            next = left.next();
        }
        let now = [0, 1, 2].map(|node| gets(sentinels.server(node)));
        // A server that was started again counts from zero.
        let grown = [0, 1, 2].map(|node| now[node].saturating_sub(last[node]));
        last = now;
        rows.push((began.elapsed().as_secs_f64(), grown));
        std::thread::sleep(STEP);
    }
    stop.store(true, Ordering::Relaxed);
    let done: u64 = readers.join().unwrap();
    let errors = errors.load(Ordering::Relaxed);
    println!("{done} reads, {errors} errors");
    std::fs::write(&path, draw(&rows[1..], old, &policy, done, errors)).unwrap();
    println!("{path}");
}

/// Forty readers, until they are told to stop. How many reads succeeded.
async fn read(client: &Client, stop: &AtomicBool, errors: &AtomicU64) -> u64 {
    let reader = |_| async move {
        let mut done = 0;
        while !stop.load(Ordering::Relaxed) {
            match client.get::<Option<String>>("key").await {
                Ok(_) => done += 1,
                Err(_) => _ = errors.fetch_add(1, Ordering::Relaxed),
            }
            smol::Timer::after(Duration::from_millis(2)).await;
        }
        done
    };
    join_all((0..40).map(reader)).await.into_iter().sum()
}

/// GETs that a server has run since it was started; 0 while it is down.
fn gets(server: &Server) -> u64 {
    let Ok(stats) = server.try_call(&["INFO", "commandstats"]) else { return 0 };
    let text = stats.text();
    let line = text.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls="));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// Shares of the nodes over time, on top of each other.
fn draw(rows: &[(f64, [u64; 3])], old: usize, policy: &str, done: u64, errors: u64) -> String {
    let (width, height, left, top) = PLOT;
    let x = |at: f64| left + at / LENGTH.as_secs_f64() * width;
    let y = |part: f64| top + (1.0 - part) * height;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 920 380' font-family='sans-serif' \
         font-size='12' fill='#1f2933'>\n<rect width='920' height='380' fill='#fff'/>\n\
         <text x='{left}' y='24' font-size='17' font-weight='600'>Which node answers the reads of \
         one client</text>\n<text x='{left}' y='44' fill='#52606d'>read_from={policy}, a service \
         behind three sentinels: {done} reads, {errors} errors</text>\n"
    );
    let order = [old, (old + 1) % 3, (old + 2) % 3];
    let names = ["first primary", "replica that is killed", "other replica"];
    let mut floor = vec![0.0; rows.len()];
    for (place, node) in order.into_iter().enumerate() {
        let share = |grown: &[u64; 3]| {
            let all = grown.iter().sum::<u64>().max(1);
            grown[node] as f64 / all as f64
        };
        let ceiling: Vec<f64> =
            rows.iter().zip(&floor).map(|((_, grown), floor)| floor + share(grown)).collect();
        let mut path = String::new();
        let there = rows.iter().zip(&ceiling);
        let back = rows.iter().zip(&floor).rev();
        for (index, ((at, _), part)) in there.chain(back).enumerate() {
            let step = if index == 0 { 'M' } else { 'L' };
            write!(path, "{step}{:.0} {:.0}", x(*at), y(*part)).unwrap();
        }
        let colour = COLOURS[place];
        writeln!(svg, "<path d='{path}Z' fill='{colour}'/>").unwrap();
        let at = left + 200.0 * place as f64;
        writeln!(
            svg,
            "<rect x='{at}' y='352' width='12' height='12' fill='{colour}'/>\
             <text x='{}' y='362'>{}</text>",
            at + 18.0,
            names[place]
        )
        .unwrap();
        floor = ceiling;
    }
    for (at, what) in EVENTS {
        let at = x(at as f64);
        writeln!(
            svg,
            "<path d='M{at:.0} {top}V{}' stroke='#1f2933' stroke-dasharray='3'/>\
             <text x='{:.0}' y='{}'>{what}</text>",
            top + height,
            at + 4.0,
            top + 14.0
        )
        .unwrap();
    }
    for second in (0..=LENGTH.as_secs()).step_by(2) {
        let (at, under) = (x(second as f64), top + height + 18.0);
        writeln!(svg, "<text x='{at:.0}' y='{under}' text-anchor='middle'>{second} s</text>")
            .unwrap();
    }
    for (part, text) in [(0.0, "0"), (0.5, "50 %"), (1.0, "100 %")] {
        writeln!(
            svg,
            "<text x='{}' y='{:.0}' text-anchor='end'>{text}</text>",
            left - 6.0,
            y(part)
        )
        .unwrap();
    }
    svg.push_str("</svg>\n");
    svg
}
