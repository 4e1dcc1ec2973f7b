//! boto3 at a broker that shows states as AWS does: each for a while, in order, and what is refused meanwhile.

use serde_json::{Value, json};

use crate::alone::alone;
use crate::boto_errors::are_refused;
use crate::client::{Client, Steps, texts};
use crate::face::{Face, Way, account};

const DELAY_S: u32 = 1;

const IN_USE: &str = "ResourceInUseException";
const UNKNOWN: &str = "ResourceNotFoundException";
const CREATING: &str = "Stream states under account ACCOUNT not ACTIVE, instead in state CREATING";
const UPDATING: &str = "Stream states under account ACCOUNT not ACTIVE, instead in state UPDATING";
const DELETING: &str = "Stream states under account ACCOUNT not ACTIVE, instead in state DELETING";
const EXISTS: &str = "Stream states under account ACCOUNT already exists.";
const NOT_FOUND: &str = "Stream states under account ACCOUNT not found.";

const REFUSALS: &[(&str, &str, &str)] = &[
    ("listed while made", IN_USE, CREATING),
    ("put while made", UNKNOWN, NOT_FOUND),
    ("tagged while made", IN_USE, CREATING),
    ("registered while made", IN_USE, CREATING),
    ("made again", IN_USE, EXISTS),
    ("merged while split", IN_USE, UPDATING),
    ("scaled while split", IN_USE, UPDATING),
    ("registered while gone", IN_USE, "Consumer board of stream states under account ACCOUNT already exists."),
    ("made while gone", IN_USE, EXISTS),
    ("put while gone", UNKNOWN, NOT_FOUND),
    ("listed while gone", IN_USE, DELETING),
    ("kept longer while gone", IN_USE, DELETING),
];

#[test]
fn states_last() {
    alone("states::states_last", &[Client::Aws], async {
        let mut face = Face::start_with(&[&format!("--kinesis-state-delay-ms={}", DELAY_S * 1_000)]).await;
        let steps = face.run(Client::Aws, "python/states.py", &[&DELAY_S.to_string()], Way::Plain).await;
        let account = account(&steps.one("made")["arn"], "states");
        are_refused(&steps, REFUSALS, account);
        are_in_order(&steps);
        a_stream_is_made_changed_and_gone(&steps);
        a_consumer_is_made_and_gone(&steps, account);
        face.end();
    });
}

/// Each is seen from the call on, for as long as the broker is told.
fn are_in_order(steps: &Steps) {
    for (step, states) in [
        ("creating", ["CREATING", "ACTIVE"]),
        ("updating", ["UPDATING", "ACTIVE"]),
        ("consumer creating", ["CREATING", "ACTIVE"]),
        ("consumer deleting", ["DELETING", UNKNOWN]),
        ("deleting", ["DELETING", UNKNOWN]),
    ] {
        let seen = steps.one(step);
        assert_eq!(texts(&seen["states"]), states, "{step}");
        let lasted_s = seen["lasted_s"].as_f64().expect("it is a number");
        // Times are in ms, and both clocks of this machine's are read.
        assert!(lasted_s > f64::from(DELAY_S) - 0.01, "{seen}");
    }
}

fn a_stream_is_made_changed_and_gone(steps: &Steps) {
    let made = steps.one("made");
    assert_eq!((&made["status"], &made["shards"]), (&json!("CREATING"), &json!([])));
    let ids = |numbers: &[u32]| -> Value { numbers.iter().map(|number| format!("shardId-{number:012}")).collect() };
    assert_eq!(steps.one("active")["shards"], ids(&[0, 1]));
    let served = steps.one("served while split");
    assert_eq!((&served["put_to"], &served["open"]), (&json!("shardId-000000000002"), &ids(&[1, 2, 3])));
    assert_eq!(steps.one("gone")["listed"], json!([["states", "DELETING"]]));
    let again = steps.one("put again");
    assert_eq!((&again["put_to"], &again["shards"]), (&json!("shardId-000000000000"), &ids(&[0])));
}

fn a_consumer_is_made_and_gone(steps: &Steps, account: &str) {
    assert_eq!(steps.one("consumer made")["listed"], json!([["board", "CREATING"]]));
    assert_eq!(steps.one("consumer gone")["listed"], json!([["board", "DELETING"]]));
    for step in ["subscribed while made", "deregistered again"] {
        let seen = steps.one(step);
        assert_eq!((&seen["status"], &seen["code"]), (&json!(400), &json!(IN_USE)), "{seen}");
        let message = seen["message"].as_str().expect("it says why");
        let created = message.strip_prefix("Consumer board with creation timestamp ").and_then(|rest| {
            rest.strip_suffix(&format!(" under stream states under account {account} is not in ACTIVE status."))
        });
        assert!(created.is_some_and(|created| created.parse::<u64>().is_ok()), "{seen}");
    }
}
