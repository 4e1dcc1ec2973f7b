//! Beyond saturation: more consumers, at a higher rate, than the broker can feed.
//!
//! Puts must not suffer, and what is left must be shared evenly. The consumers run aside
//! ([`super::aside`]), so that acknowledgements are seen when they come; in the end everything must
//! have arrived everywhere.

use rheos_protocol::message::Position;

use super::Walk;
use super::aside::Aside;
use super::lines::{Goal, Lines};
use super::push::{Run, drive_broker, register, subscribe, wishes};
use crate::Failure;
use crate::deliveries::{Answered, Deliveries};
use crate::load::Load;

pub(super) async fn measure(walk: &Walk<'_>, lines: &mut Lines) -> Result<(), Failure> {
    let data = walk.data("saturated");
    let broker = walk.start_broker(&data)?;
    let stream = walk.session(&broker).await?.create_stream("saturated", walk.arguments.streams.into()).await?;
    register(walk, &broker, &stream, CONSUMERS).await?;
    let mut runs = Vec::new();
    for _ in walk.pairs() {
        let deliveries = Deliveries::new(CONSUMERS, Answered::Acked);
        let wishes = wishes(walk, &broker, &stream, 0..CONSUMERS, Position::Latest).await?;
        let (access, mtu_bound) = (broker.access().clone(), walk.launch.mtu_bound);
        let consumers: Vec<_> = (0..CONSUMERS).map(|at| deliveries.consumer(at)).collect();
        let _consumers = Aside::start(walk.spare_core(), async move {
            let mut subscriptions = Vec::new();
            for (wish, consumer) in wishes.iter().zip(consumers) {
                subscriptions.push(subscribe(&access, mtu_bound, wish, consumer).await?);
            }
            Ok(subscriptions)
        })
        .await?;
        runs.push(drive_broker(walk, &broker, &stream, &deliveries, LOAD).await?);
    }
    let each = |measure: fn(&Run) -> f64| runs.iter().map(measure).collect::<Vec<_>>();
    lines.absolute("saturated_ack_p99_ms", &each(|run| run.ack_us(99.0) / 1e3), Goal::AtMost(ACK_P99_MS_MAX));
    let slowest = each(|run| slowest_to_mean(&run.delivered.records_per_s));
    lines.absolute("slowest_consumer_ratio", &slowest, Goal::AtLeast(SLOWEST_RATIO_LEAST));
    lines.absolute("saturated_delivered_mb_s", &each(Run::delivered_mb_s), Goal::None);
    lines.absolute("server_saturated_s_per_gb", &each(Run::server_s_per_gb), Goal::None);
    lines.client_busy("saturated", "saturated", runs.iter().map(|run| run.acks().client_busy));
    broker.stop()
}

/// The least of some rates, against their mean.
fn slowest_to_mean(rates: &[f64]) -> f64 {
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    rates.iter().copied().fold(f64::INFINITY, f64::min) / mean
}

const CONSUMERS: usize = 20;
const LOAD: Load = Load::Open { records_per_s: 50_000 };
const ACK_P99_MS_MAX: f64 = 20.0;
const SLOWEST_RATIO_LEAST: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_is_compared_with_the_mean() {
        assert!((slowest_to_mean(&[100.0, 100.0, 40.0]) - 0.5).abs() < 1e-9);
        assert!((slowest_to_mean(&[7.0]) - 1.0).abs() < 1e-9);
        assert!(slowest_to_mean(&[0.0, 0.0]).is_nan(), "nothing came: there is no ratio");
    }
}
