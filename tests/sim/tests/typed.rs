//! One method for clients, pipelines and transactions: the replies have the types of the calls, in
//! their order.

use slotcar::command::{get, incr};
use slotcar::prelude::*;
use slotcar::{Client, Error, ErrorKind, cmd};
use slotcar_sim::Sim;
use std::collections::HashMap;

/// Runs the test on one server and on a cluster.
fn on_each(test: impl AsyncFn(&Client) -> Result<(), Error> + Clone + 'static) {
    for servers in [Sim::standalone(), Sim::cluster(3, 0)] {
        let test = test.clone();
        servers.seed(1).run(|sim| async move {
            let client = sim.client(sim.config()).await.expect("it is there");
            test(&client).await.unwrap_or_else(|error| panic!("{error:?}"));
        });
    }
}

#[test]
fn a_pipeline_returns_what_its_calls_return() {
    on_each(async |client| {
        let ((), n, name, all) = client
            .pipeline()
            .set("a", "Ada")
            .incr("n")
            .get::<Option<String>>("a")
            .mget::<Vec<Option<i64>>>(["n", "none"])
            .run()
            .await?;
        assert_eq!((n, name.as_deref(), all), (1, Some("Ada"), vec![Some(1), None]));
        // The type can also follow from what the reply is used for.
        let (n, name): (i64, String) = client.pipeline().incr("n").get("a").run().await?;
        assert_eq!((n, name.as_str()), (2, "Ada"));
        let (n,) = client.pipeline().incrby("n", 5).run().await?;
        assert_eq!(n, 7);
        Ok(())
    });
}

#[test]
fn a_transaction_returns_what_its_calls_return() {
    on_each(async |client| {
        let (set, all, gone): (_, HashMap<String, u8>, _) =
            client.transaction().hset("h", [("f", 1)]).hgetall("h").del("h").run().await?;
        assert_eq!((set, all["f"], gone), (1, 1, 1));
        let watch = client.watch(["k"]).await?;
        let committed = watch.commit(client.transaction().incr("k").get::<u8>("k")).await?;
        assert_eq!(committed, Some((1, 1)));
        let watch = client.watch(["k"]).await?;
        client.set("k", 7).await?;
        assert_eq!(watch.commit(client.transaction().incr("k")).await?, None);
        // Commands without types are committed as before.
        let watch = client.watch(["k"]).await?;
        let untyped = client.transaction().add(incr("k"));
        assert_eq!(watch.commit::<(i64,)>(untyped).await?, Some((8,)));
        Ok(())
    });
}

#[test]
fn any_command_has_a_type_in_its_place() {
    on_each(async |client| {
        let client_reply = client.execute::<String>(cmd("ECHO").arg("x")).await?;
        let (a, b, c) = client
            .pipeline()
            .set("s", "v")
            .execute::<String>(get("s"))
            .append("s", "w")
            .run()
            .await?;
        assert_eq!((client_reply.as_str(), a, b.as_str(), c), ("x", (), "v", 2));
        Ok(())
    });
}

#[test]
fn one_that_fails_is_told_apart() {
    on_each(async |client| {
        let bad = || client.pipeline().set("s", "v").lpush("s", 1).get::<String>("s");
        let error = bad().run().await.expect_err("a string is no list");
        assert_eq!((error.kind(), error.command()), (ErrorKind::Server, Some("LPUSH")));
        let each = bad().run_each().await?;
        assert!(each[0].is_ok() && each[1].is_err());
        assert_eq!(each[2].clone()?.decode::<String>()?, "v");
        // A type that does not fit: the error names the command.
        let error = client.pipeline().get::<u8>("s").run().await.expect_err("no number");
        assert_eq!(error.kind(), ErrorKind::Convert, "{error:?}");
        Ok(())
    });
}

#[test]
fn sixteen_commands_have_types() {
    on_each(async |client| {
        let four = client.pipeline().incr("n").incr("n").incr("n").incr("n");
        let eight = four.incr("n").incr("n").incr("n").incr("n");
        let twelve = eight.incr("n").incr("n").incr("n").incr("n");
        let all = twelve.incr("n").incr("n").incr("n").incr("n").run().await?;
        assert_eq!((all.0, all.7, all.15), (1, 8, 16));
        let mut more = client.pipeline();
        (0..20).for_each(|_| more.push(incr("n")));
        assert_eq!(more.run::<Vec<i64>>().await?[19], 36);
        Ok(())
    });
}
