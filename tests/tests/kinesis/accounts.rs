//! boto3: whose streams a key sees and changes: those of its grants, of its account, and of the region it asks in.

use rheos_client::protocol::message::{Access, KeyPolicy, NewKey};
use rheos_client::protocol::name::AccountId;
use serde_json::json;

use crate::alone::alone;
use crate::boto_errors::are_refused;
use crate::client::{Client, Steps};
use crate::face::{Face, REGION, Way, account};

const OWN: &str = "000000000000";
const PARTNER: &str = "123456789012";

const DENIED: &str = "AccessDeniedException";

/// What the key with one grant may not: the operation, what the refusal says of it, and the grant that it needs and has.
const NOT_GRANTED: &[(&str, &str, Missing)] = &[
    ("put_record", "put records into stream ACCOUNT/eu-central-1/orders", Missing::Write),
    ("create_stream", "create stream ACCOUNT/eu-central-1/other", Missing::Admin),
    ("delete_stream", "delete stream ACCOUNT/eu-central-1/orders", Missing::Admin),
    ("split_shard", "reshard stream ACCOUNT/eu-central-1/orders", Missing::Admin),
    ("increase_stream_retention_period", SETTINGS, Missing::Admin),
    ("add_tags_to_stream", "tag stream ACCOUNT/eu-central-1/orders", Missing::Admin),
    ("enable_enhanced_monitoring", "change the shard metrics of stream ACCOUNT/eu-central-1/orders", Missing::Admin),
    ("stop_stream_encryption", SETTINGS, Missing::Admin),
    ("register_stream_consumer", "register a consumer of stream ACCOUNT/eu-central-1/orders", Missing::Write),
    ("deregister_stream_consumer", "deregister a consumer of stream ACCOUNT/eu-central-1/orders", Missing::Write),
    ("put_resource_policy", "change a resource policy of stream ACCOUNT/eu-central-1/orders", Missing::Admin),
    ("update_account_settings", "change the settings of account ACCOUNT", Missing::Admin),
    ("describes audit", "describe stream ACCOUNT/eu-central-1/audit", Missing::Read),
    ("puts to audit", "put records into stream ACCOUNT/eu-central-1/audit", Missing::WriteAtAll),
    // Whether there is such a stream is not told to who may not see it.
    ("describes none", "describe stream ACCOUNT/eu-central-1/none", Missing::Read),
    ("puts to none", "put records into stream ACCOUNT/eu-central-1/none", Missing::WriteAtAll),
];
const SETTINGS: &str = "change the settings of stream ACCOUNT/eu-central-1/orders";

#[derive(Debug, Clone, Copy)]
enum Missing {
    Read,
    Write,
    WriteAtAll,
    Admin,
}

#[test]
fn keys_see_what_is_theirs() {
    alone("accounts::keys_see_what_is_theirs", &[Client::Aws], async {
        let mut face = Face::start().await;
        let [granted, partner] = keys(&face).await;
        let arguments = [&*granted.id, &granted.secret, &partner.id, &partner.secret];
        let steps = face.run(Client::Aws, "python/accounts.py", &arguments, Way::Plain).await;
        may_only_read(&steps, &granted.id);
        has_an_account_of_its_own(&steps, &partner.id);
        is_in_another_region(&steps);
        face.end();
    });
}

/// One that may read a stream, and one that may do everything in an account.
async fn keys(face: &Face) -> [NewKey; 2] {
    let admin = face.broker.client().await;
    let streams = vec![(format!("{OWN}/{REGION}/orders"), Access::ReadOnly)];
    let grant = KeyPolicy { everywhere: Access::None, streams };
    let granted = admin.create_key("granted", grant).await.expect("there is none");
    let (account, everything) =
        (AccountId::new(PARTNER).expect("it has 12 digits"), KeyPolicy::everywhere(Access::Admin));
    let partner = admin.create_key_of(Some(&account), "partner", everything).await.expect("there is none");
    admin.close().await;
    [granted, partner]
}

fn may_only_read(steps: &Steps, key: &str) {
    let listed = steps.one("granted lists");
    assert_eq!((&listed["names"], &listed["shards"]), (&json!(["orders"]), &json!(["shardId-000000000000"])));
    let read = steps.one("granted reads");
    assert_eq!((&read["texts"], &read["tags"]), (&json!(["kept"]), &json!([])));
    for (operation, what, missing) in NOT_GRANTED {
        let needs = match missing {
            Missing::Read => "read-only for that stream and has none",
            Missing::Write => "read-write for that stream and has read-only",
            Missing::WriteAtAll => "read-write for that stream and has none",
            Missing::Admin => "admin for every stream and has none",
        };
        let text = format!("access key granted ({key}) may not {what}: it needs a grant of {needs}");
        are_refused(steps, &[(&format!("granted {operation}"), DENIED, &text)], OWN);
    }
    let kept = steps.one("as it was");
    assert_eq!(kept["names"], json!(["audit", "orders"]));
    assert_eq!((&kept["tags"], &kept["consumers"]), (&json!([]), &json!(["board"])));
}

fn has_an_account_of_its_own(steps: &Steps, key: &str) {
    let made = steps.one("partner");
    assert_eq!(account(&made["arn"], "orders"), PARTNER);
    assert_eq!((&made["names"], &made["shards"]), (&json!(["orders"]), &json!(2)));
    for (step, what) in [
        ("ours by its ARN", "describe"),
        ("partner puts to ours", "put records into"),
        ("partner subscribes to ours", "subscribe to"),
    ] {
        let text = format!(
            "access key partner ({key}) may not {what} stream {OWN}/{REGION}/orders: it reaches nothing but the streams \
             of account {PARTNER}"
        );
        are_refused(steps, &[(step, DENIED, &text)], OWN);
    }
    let foreign = [
        ("partner reads on from ours", "InvalidArgumentException", "Invalid ShardIterator."),
        ("partner lists on from ours", "InvalidArgumentException", "Invalid NextToken."),
    ];
    are_refused(steps, &foreign, OWN);
    // An administrator of the broker's own account administers the broker.
    assert_eq!(steps.one("partner's seen by its ARN")["shards"], json!(2));
    let settings = steps.one("settings");
    assert_eq!((&settings["partner"], &settings["own"]), (&json!("ENABLED"), &json!("DISABLED")));
    let limits = steps.one("limits");
    assert_eq!((&limits["partner"], &limits["own"]), (&json!(2), &json!(2)));
    let deleted = steps.one("partner's deleted");
    assert_eq!((&deleted["partner"], &deleted["own"]), (&json!([]), &json!(["audit", "orders"])));
}

fn is_in_another_region(steps: &Steps) {
    let made = steps.one("elsewhere");
    assert_eq!(made["arn"], json!(format!("arn:aws:kinesis:eu-west-1:{OWN}:stream/orders")));
    assert_eq!((&made["names"], &made["shards"]), (&json!(["orders"]), &json!(3)));
    let limits = steps.one("limits of regions");
    assert_eq!((&limits["elsewhere"], &limits["own"]), (&json!(3), &json!(2)));
    let not_here = "Stream orders under account ACCOUNT not found.";
    for step in ["elsewhere by its ARN", "here by its ARN"] {
        are_refused(steps, &[(step, "ResourceNotFoundException", not_here)], OWN);
    }
    let deleted = steps.one("elsewhere deleted");
    assert_eq!((&deleted["elsewhere"], &deleted["own"]), (&json!([]), &json!(["audit", "orders"])));
}
