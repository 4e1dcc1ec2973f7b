//! The broker, if one answers: its version, and how long its certificate is good.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rheos_broker::{Finding, Grade};
use rheos_client::{Client, ConnectOptions};
use tokio::time::timeout;

use crate::arguments::{Global, Place};
use crate::broker;
use crate::units::show_time_ms;

/// What a broker says of itself. That none answers is worth knowing only where one was named.
pub(super) async fn findings(global: &Global) -> Vec<Finding> {
    let options = match broker::options(global) {
        Ok(options) => options,
        Err(_) if matches!(global.place, Place::Data | Place::Unsaid) => {
            return vec![found(BROKER, Grade::Ok, "none has run on this data directory yet".to_owned(), None)];
        }
        Err(failure) => return vec![found(BROKER, Grade::Note, failure.message().to_owned(), None)],
    };
    match timeout(ANSWER_MAX, ask(options)).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(why)) => vec![found(BROKER, Grade::Note, format!("none answers: {why}"), None)],
        Err(_) => vec![found(BROKER, Grade::Note, "none answers in time".to_owned(), None)],
    }
}

async fn ask(options: ConnectOptions) -> Result<Vec<Finding>, String> {
    let address = options.address();
    let client = Client::connect(options).await.map_err(|error| error.to_string())?;
    let welcome = client.welcome();
    let what = format!("{} answers at {address}, with {} lanes", welcome.broker, welcome.lanes);
    let mut findings = vec![found(BROKER, Grade::Ok, what, None)];
    if let Ok(Some(expires_ms)) = client.certificate_expires_ms().await {
        findings.push(certificate(expires_ms, now_ms()));
    }
    client.close().await;
    Ok(findings)
}

fn certificate(expires_ms: u64, now_ms: u64) -> Finding {
    let days = expires_ms.saturating_sub(now_ms) / DAY_MS;
    let what = format!("good until {}, for {days} days", show_time_ms(expires_ms));
    match days {
        0..RENEWED_DAYS => {
            let fix = "start the broker again: its own certificate is renewed then; bring a new one for --tls-cert";
            found(CERTIFICATE, Grade::Warning, what, Some(fix.to_owned()))
        }
        _ => found(CERTIFICATE, Grade::Ok, what, None),
    }
}

fn found(topic: &'static str, grade: Grade, what: String, fix: Option<String>) -> Finding {
    Finding { topic, grade, what, fix }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

const BROKER: &str = "broker";
const CERTIFICATE: &str = "certificate";
/// A little longer than the client waits by itself.
const ANSWER_MAX: Duration = Duration::from_secs(4);
const DAY_MS: u64 = 86_400_000;
/// A start renews a certificate with less than this left.
const RENEWED_DAYS: u64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_is_warned_of() {
        assert_eq!(certificate(400 * DAY_MS, 10 * DAY_MS).grade, Grade::Ok);
        for (expires_ms, now_ms) in [(39 * DAY_MS, 10 * DAY_MS), (10 * DAY_MS, 20 * DAY_MS)] {
            let finding = certificate(expires_ms, now_ms);
            assert!(finding.grade == Grade::Warning && finding.fix.is_some(), "{finding:?}");
        }
    }
}
