//! What opens a broker, and what does so no more.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_made_key_opens_with_its_own_secret_alone() {
    let ground = ground().await;
    let admin = ground.client().await;
    let one = create_key(&admin, "one", everywhere(Access::ReadOnly)).await;
    let other = create_key(&admin, "other", everywhere(Access::ReadOnly)).await;
    for (what, key) in [
        ("a wrong secret", Key(one.0.clone(), format!("{}x", one.1))),
        ("no secret", Key(one.0.clone(), String::new())),
        ("another key's secret", Key(one.0.clone(), other.1.clone())),
        ("the administrator's secret", Key(one.0.clone(), ground.key.1.clone())),
        ("the administrator's id with a made secret", Key(ground.key.0.clone(), one.1.clone())),
        ("an unknown key", Key("RKABCDEFGHIJKLMNOPQR".to_owned(), one.1.clone())),
        ("a key's name for its id", Key("one".to_owned(), one.1.clone())),
    ] {
        refused(&ground.broker, &key, what).await;
    }
    for key in [&one, &other] {
        let client = RawClient::admitted(ground.broker.address(), key).await;
        assert_eq!(ask(&client, Request::Ping).await, Ok(Reply::Pong));
    }
    // What is told once is told nowhere else.
    let listed = format!("{:?}", list_keys(&admin).await);
    assert!(listed.contains(&one.0) && !listed.contains(&one.1), "{listed}");
    let said = ground.broker.said();
    assert!(said.contains(&one.0) && ![&one.1, &other.1, &ground.key.1].iter().any(|secret| said.contains(*secret)));
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_is_worth_nothing_on_another_connection() {
    let ground = ground().await;
    let made = create_key(&ground.client().await, "made", everywhere(Access::Admin)).await;
    for key in [&ground.key, &made] {
        let client = RawClient::connect(ground.broker.address()).await.expect("a handshake is everybody's");
        let recorded = Request::Hello(client.hello(key));
        assert!(matches!(ask(&client, recorded.clone()).await, Ok(Reply::Welcome(_))));
        let replay = RawClient::connect(ground.broker.address()).await.expect("a handshake is everybody's");
        hello_refused(&replay, &recorded, "a Hello of another connection").await;
        assert_eq!(ask(&client, Request::Ping).await, Ok(Reply::Pong));
    }
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_ends_its_connections_and_never_comes_back() {
    let mut place = place();
    let broker = place.start();
    let admin_key = Key::of_admin(place.data());
    let admin = RawClient::admitted(broker.address(), &admin_key).await;
    let Ok(Reply::Stream(stream)) = ask(&admin, create("orders")).await else { panic!("the broker is new") };
    let revoked = create_key(&admin, "revoked", everywhere(Access::Admin)).await;
    let by_id = create_key(&admin, "by-id", on("orders", Access::ReadWrite)).await;
    let kept = create_key(&admin, "kept", on("orders", Access::ReadWrite)).await;
    let kept_client = RawClient::admitted(broker.address(), &kept).await;

    for (key, name) in [(&revoked, "revoked"), (&by_id, &by_id.0)] {
        let mut clients = Vec::new();
        for _ in 0..3 {
            let client = RawClient::admitted(broker.address(), key).await;
            client.put(&good_batch(&stream, b"data")).await.expect("it may");
            clients.push(client);
        }
        assert_eq!(ask(&admin, Request::RevokeKey(name.to_owned())).await, Ok(Reply::Done));
        for client in &clients {
            let (code, why) = timeout(PATIENCE, client.closed()).await.expect("it is closed");
            assert_eq!((code, why), (ErrorCode::Unauthenticated, format!("access key {} was revoked", key.0)));
        }
        refused(&broker, key, "a revoked key").await;
        assert_eq!(ask(&admin, Request::RevokeKey(name.to_owned())).await, Err(ErrorCode::KeyNotFound));
    }
    kept_client.put(&good_batch(&stream, b"data")).await.expect("nobody has revoked this one");
    broker.kill();

    let broker = place.start();
    refused(&broker, &revoked, "a revoked key after a restart").await;
    refused(&broker, &by_id, "a revoked key after a restart").await;
    let kept_client = RawClient::admitted(broker.address(), &kept).await;
    kept_client.put(&good_batch(&stream, b"data")).await.expect("nobody has revoked this one");
    // Its name is free again.
    let admin = RawClient::admitted(broker.address(), &admin_key).await;
    let again = create_key(&admin, "revoked", everywhere(Access::None)).await;
    assert!(again.0 != revoked.0 && again.1 != revoked.1);
    broker.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_slips_in_while_its_key_is_revoked() {
    const COMING: usize = 8;
    let ground = ground().await;
    let admin = ground.client().await;
    for round in 0..10 {
        let name = format!("key-{round}");
        let key = Arc::new(create_key(&admin, &name, everywhere(Access::ReadOnly)).await);
        // Each comes again and again; what was opened stays open until the broker ends it.
        let address = ground.broker.address();
        let coming: Vec<_> = (0..COMING)
            .map(|_| {
                let key = Arc::clone(&key);
                tokio::spawn(async move {
                    let mut clients = Vec::new();
                    loop {
                        let client = RawClient::connect(address).await.expect("a handshake is everybody's");
                        let welcome = client.ask(&Request::Hello(client.hello(&key))).await;
                        let is_in = matches!(welcome, Ok(Reply::Welcome(_)));
                        clients.push(client);
                        if !is_in {
                            return clients;
                        }
                    }
                })
            })
            .collect();
        sleep(Duration::from_millis(20 * round)).await;
        assert_eq!(ask(&admin, Request::RevokeKey(name)).await, Ok(Reply::Done));
        for clients in coming {
            for client in
                timeout(PATIENCE, clients).await.expect("it is refused in the end").expect("it asserts nothing else")
            {
                let (code, why) = timeout(PATIENCE, client.closed()).await.expect("each of them is closed");
                assert_eq!(code, ErrorCode::Unauthenticated, "{why}");
            }
        }
    }
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_administrators_own_key_is_not_the_catalogs() {
    let ground = ground().await;
    let admin = ground.client().await;
    let named = |name: &str| Request::CreateKey(CreateKey { name: name.to_owned(), ..CreateKey::default() });
    for own in ["admin", &ground.key.0] {
        assert_eq!(ask(&admin, Request::RevokeKey(own.to_owned())).await, Err(ErrorCode::BadRequest));
        assert_eq!(ask(&admin, named(own)).await, Err(ErrorCode::KeyExists));
    }
    let second = create_key(&admin, "second", everywhere(Access::Admin)).await;
    assert_eq!(ask(&admin, named("second")).await, Err(ErrorCode::KeyExists));
    assert_eq!(ask(&admin, named(&second.0)).await, Err(ErrorCode::KeyExists));
    assert_eq!(ask(&admin, named("no name")).await, Err(ErrorCode::BadRequest));
    let too_much =
        Request::CreateKey(CreateKey { name: "third".to_owned(), policy: on("orders", Access::Admin), account: None });
    assert_eq!(ask(&admin, too_much).await, Err(ErrorCode::BadRequest));
    // A key that may do everything may end itself, and is told why it ends.
    let itself = RawClient::admitted(ground.broker.address(), &second).await;
    let ended = timeout(PATIENCE, itself.ask(&Request::RevokeKey("second".to_owned()))).await.expect("it ends");
    assert!(matches!(ended, Ok(Reply::Done) | Err(Ended::Closed(ErrorCode::Unauthenticated, _))), "{ended:?}");
    assert_eq!(timeout(PATIENCE, itself.closed()).await.expect("it ends").0, ErrorCode::Unauthenticated);
    assert_eq!(list_keys(&admin).await, []);
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_development_anybody_is_the_administrator_and_a_made_key_is_itself() {
    let mut place = place().with_flag("--dev");
    let broker = place.start();
    let anybody = RawClient::admitted(broker.address(), &Key("whoever".to_owned(), String::new())).await;
    ask(&anybody, create("orders")).await.expect("anybody may");
    let reader = create_key(&anybody, "reader", everywhere(Access::ReadOnly)).await;
    let client = RawClient::admitted(broker.address(), &reader).await;
    assert_eq!(ask(&client, create("audit")).await, Err(ErrorCode::Denied));
    // It may be revoked as anywhere, and who comes with it then is anybody.
    assert_eq!(ask(&anybody, Request::RevokeKey("reader".to_owned())).await, Ok(Reply::Done));
    assert_eq!(timeout(PATIENCE, client.closed()).await.expect("it is closed").0, ErrorCode::Unauthenticated);
    let client = RawClient::admitted(broker.address(), &reader).await;
    ask(&client, create("audit")).await.expect("anybody may");
    broker.stop();
}
