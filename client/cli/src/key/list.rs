//! `rheos key list`

use clap::Args;
use rheos_client::KeyDescription;
use serde_json::{Map, Value, json};

use super::{access_text, policy_text};
use crate::arguments::Global;
use crate::broker;
use crate::failure::Failure;
use crate::output;
use crate::units::show_time_ms;

/// List all access keys, without their secrets
#[derive(Debug, Args)]
pub(crate) struct ListCommand {}

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let client = broker::connect(global).await?;
    let listed = client.list_keys().await;
    client.close().await;
    output::list(global.output, &listed?, ["NAME", "ID", "CREATED", "ACCOUNT", "ACCESS"], row, as_json)
}

fn row(key: &KeyDescription) -> [String; 5] {
    let account = key.account.clone().unwrap_or_else(|| "own".to_owned());
    [key.name.clone(), key.id.clone(), show_time_ms(key.created_ms), account, policy_text(&key.policy)]
}

fn as_json(key: &KeyDescription) -> Value {
    let granted = key.policy.streams.iter().map(|(stream, access)| (stream.clone(), access_text(*access).into()));
    json!({
        "id": key.id,
        "name": key.name,
        "created_ms": key.created_ms,
        "account": key.account,
        "everywhere": access_text(key.policy.everywhere),
        "streams": granted.collect::<Map<String, Value>>(),
    })
}
